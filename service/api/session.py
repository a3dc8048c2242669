"""Routes by which a browser logs in and out."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel

from service.access.errors import BadLogin
from service.access.identity import SESSION
from service.access.roles import Role
from service.api.access import IdentityDep
from service.api.problem import HttpProblem
from service.api.services import ServicesDep

router = APIRouter(include_in_schema=False)  # for the page alone


class Session(BaseModel, frozen=True):
    """Who is asking; without a role the page shows its login."""

    name: str
    role: Role | None
    can_log_out: bool
    single_sign_on: bool  # whether there is /login/oidc


@router.get("/session")
async def session(identity: IdentityDep, services: ServicesDep) -> Session:
    """Returns who is asking and what they may do."""
    return Session(
        name=identity.name,
        role=identity.role,
        can_log_out=identity.via == SESSION,
        single_sign_on=services.single_sign_on is not None,
    )


@router.post("/login", status_code=HTTPStatus.NO_CONTENT)
async def login(
    services: ServicesDep,
    x_kanjo_login: Annotated[str, Header(description="the code of a one-time link")],
) -> Response:
    """Begins a session, whose cookie is set, and uses the one-time code up.

    The code comes in a header of our own, which no other origin's page can send.
    """
    try:
        cookie = await services.logins.redeem(x_kanjo_login)
    except BadLogin as error:
        raise HttpProblem(
            HTTPStatus.UNAUTHORIZED,
            "a login link that was used, has expired or never was",
            "a new one, of kanjo login-link",
        ) from error
    return _empty(cookie)


@router.post("/logout", status_code=HTTPStatus.NO_CONTENT)
async def logout(request: Request, services: ServicesDep) -> Response:
    """Ends the session and removes its cookie."""
    return _empty(await services.logins.end(request.cookies))


def _empty(cookie: str) -> Response:
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Set-Cookie": cookie})
