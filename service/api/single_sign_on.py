"""Routes by which a browser logs in at a provider of OpenID Connect."""

from html import escape
from http import HTTPStatus
from http.cookies import SimpleCookie

import structlog
from fastapi import APIRouter, Request, Response

from service.access.errors import AccessUnusable
from service.access.oidc import PENDING_S, LoginRefused, ProviderUnusable
from service.api.services import Services, ServicesDep

log = structlog.get_logger()

router = APIRouter(include_in_schema=False)  # for browsers alone
NO_PROVIDER = "single sign-on is not set up here, expected KANJO_OIDC_ISSUER"


@router.get("/login/oidc")
async def begin(services: ServicesDep) -> Response:
    """Sends the browser to the provider, with a cookie that binds the login to it."""
    if services.single_sign_on is None:
        return _problem(HTTPStatus.NOT_FOUND, NO_PROVIDER)
    try:
        address, browser = await services.single_sign_on.begin()
    except ProviderUnusable as error:
        return _unusable(services, error)
    headers = {"Location": address, "Set-Cookie": _cookie(services, browser, round(PENDING_S))}
    return Response(status_code=HTTPStatus.SEE_OTHER, headers=headers)


@router.get("/login/oidc/callback")
async def finish(
    request: Request,
    services: ServicesDep,
    state: str = "",
    code: str = "",
    error: str = "",
) -> Response:
    """Begins the session of whom the provider sends back.

    The session's cookie is SameSite=Strict, so a redirect would not carry it on: a page of our own
    goes on to the service's page.
    """
    if services.single_sign_on is None:
        return _problem(HTTPStatus.NOT_FOUND, NO_PROVIDER)
    try:
        if error or not code:
            raise LoginRefused(f"the provider sent no code ({error[:60]!r})")
        browser = request.cookies.get(_cookie_name(services), "")
        name, role = await services.single_sign_on.finish(state, code, browser)
        session = await services.logins.begin(name, role)
    except LoginRefused as refusal:
        dropped = services.rejections.admit("login_refused")
        if dropped is not None:
            log.warning("login_refused", problem=str(refusal))
        return _problem(HTTPStatus.UNAUTHORIZED, str(refusal))
    except (ProviderUnusable, AccessUnusable) as failure:
        return _unusable(services, failure)
    log.info("logged_in", role=role, via="single sign-on")
    response = _page('<meta http-equiv="refresh" content="0; url=/">', "You are logged in.")
    response.headers.append("Set-Cookie", session)
    response.headers.append("Set-Cookie", _cookie(services, "", 0))
    return response


def _cookie_name(services: Services) -> str:
    return f"{services.logins.cookie}_oidc"  # `__Host-` too if it is


def _cookie(services: Services, value: str, max_age_s: int) -> str:
    name = _cookie_name(services)
    made: SimpleCookie = SimpleCookie({name: value})
    made[name].update({"path": "/", "max-age": str(max_age_s), "samesite": "Lax"})
    made[name]["httponly"] = True
    if name.startswith("__Host-"):
        made[name]["secure"] = True
    return made[name].OutputString()


def _unusable(services: Services, failure: ProviderUnusable | AccessUnusable) -> Response:
    dropped = services.rejections.admit("single_sign_on_unusable")
    if dropped is not None:
        log.warning("single_sign_on_unusable", problem=str(failure))
    told = str(failure) if isinstance(failure, ProviderUnusable) else "logins can't be kept"
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, told)


def _problem(status: HTTPStatus, sentence: str) -> Response:
    return _page("", f"You are not logged in: {sentence}.", status)


def _page(head: str, sentence: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Kanjo</title>{head}'
        f'</head><body><p>{escape(sentence)}</p><p><a href="/">To the page</a></p></body></html>'
    )
    return Response(text, status, media_type="text/html")
