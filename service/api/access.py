"""Which role each route needs, and the middleware that holds every request to it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.access import Access
from service.access.identity import AMBIENT, ANONYMOUS, Identity, Presented
from service.access.login import may_be_forged
from service.access.roles import Role
from service.api.problem import HttpProblem, response_to
from service.logs import EntryLimit

log = structlog.get_logger()

# The role that each route over HTTP needs; None: everybody may ask, and what is answered tells
# nothing about calls. A route that is not here needs an admin.
ROLES: Mapping[str, Role | None] = {
    "/": None,  # the page, which has no data in it
    "/dashboard/{path:path}": None,  # its scripts
    "/healthz": None,  # yes or no
    "/readyz": None,
    "/session": None,  # who is asking
    "/login": None,
    "/login/oidc": None,
    "/login/oidc/callback": None,
    "/logout": None,
    "/v1/calls": Role.VIEWER,
    "/v1/calls/{call_id:path}": Role.VIEWER,
    "/v1/calls/{call_id:path}/consent": Role.OPERATOR,
    "/v1/alerts": Role.VIEWER,
    "/v1/alerts.csv": Role.OPERATOR,
    "/v1/alerts/{alert_id}/take": Role.OPERATOR,
    "/v1/alerts/{alert_id}/take-over": Role.ADMIN,
    "/v1/alerts/{alert_id}/hand-over": Role.OPERATOR,
    "/v1/alerts/{alert_id}/note": Role.OPERATOR,
    "/v1/alerts/{alert_id}/dismiss": Role.OPERATOR,
    "/v1/alerts/{alert_id}/undo": Role.OPERATOR,
    "/v1/alerts/summary": Role.VIEWER,
    "/v1/mutes": Role.VIEWER,
    "/v1/mutes/{mute_id}": Role.OPERATOR,
    "/v1/events": Role.VIEWER,
    "/v1/outbox": Role.VIEWER,
    "/v1/audit": Role.ADMIN,
    "/v1/webhooks": Role.ADMIN,
    "/v1/webhooks/dead/{id}/retry": Role.ADMIN,
    "/calls": Role.VIEWER,  # these redirect
    "/calls/{call_id:path}": Role.VIEWER,
    "/alerts": Role.VIEWER,
    "/events": Role.VIEWER,
    "/classify": Role.OPERATOR,
    "/metrics": Role.METRICS,
    "/openapi.json": Role.VIEWER,
    "/asyncapi.json": Role.VIEWER,
    "/docs": Role.VIEWER,
    "/docs/{path:path}": Role.VIEWER,
}
# The methods that need a role of their own. Any other method needs the role of the first path that
# matches, which an id may end like.
METHODS: Mapping[tuple[str, str], Role] = {
    ("PUT", "/v1/calls/{call_id:path}/consent"): Role.OPERATOR,
    ("DELETE", "/v1/calls/{call_id:path}"): Role.ADMIN,
    ("POST", "/v1/mutes"): Role.OPERATOR,
}
_METHOD_PATTERNS = tuple((m, compile_path(path)[0], path) for m, path in METHODS)
_PATTERNS = tuple((compile_path(path)[0], path) for path in ROLES)
STATE = "identity"  # where a request carries who sends it
PEER = "peer"  # and the address from which its connection comes


def route_of(path: str) -> str | None:
    """Returns the key of `ROLES` that a path belongs to, or None."""
    return next((known for pattern, known in _PATTERNS if pattern.match(path)), None)


def needed_for(method: str, path: str) -> tuple[str | None, Role | None]:
    """Returns the route that a request belongs to, or None, and the role that it needs."""
    for one, pattern, known in _METHOD_PATTERNS:
        if one == method and pattern.match(path):
            return known, METHODS[one, known]
    route = route_of(path)
    return route, ROLES[route] if route else Role.ADMIN


class AccessMiddleware:
    """Lets requests over HTTP through to routes that their sender may use, and refuses all others.

    A refusal comes before the body is read. Websockets pass: each provider's route checks the
    handshake itself.

    Args:
        app: what is protected.
        access: identifies who sends a request.
        rejections: limits the log entries about refusals.
    """

    def __init__(self, app: ASGIApp, access: Access, rejections: EntryLimit) -> None:
        self._app = app
        self._access = access
        self._rejections = rejections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or the lifespan."""
        if scope["type"] == "http":
            presented = presented_by(HTTPConnection(scope))
            identity = self._access.identify(presented.headers, presented.cookies, presented.peer)
            scope.setdefault("state", {})[STATE] = identity
            problem = self._problem(scope, presented.headers, identity)
            if problem is not None:
                await response_to(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(
        self, scope: Scope, headers: Mapping[str, str], identity: Identity
    ) -> HttpProblem | None:
        route, needed = needed_for(scope["method"], scope["path"])
        if needed is None or identity.may(needed):
            if identity.via in AMBIENT and may_be_forged(scope["method"], headers):
                self._log(identity, "no origin", route)
                return HttpProblem(
                    HTTPStatus.FORBIDDEN, "a change by a cookie without Origin", "that of our page"
                )
            return None
        if identity.role is None:
            self._log(identity, "no valid credentials", route)
            return HttpProblem(
                HTTPStatus.UNAUTHORIZED,
                "no valid credentials",
                f"a login, or a token of role {needed} or above (Authorization: Bearer)",
                {"WWW-Authenticate": "Bearer"},
            )
        if route is None:
            return HttpProblem(HTTPStatus.NOT_FOUND, "no such path", "one of GET /docs")
        self._log(identity, f"role {identity.role}", route)
        return HttpProblem(HTTPStatus.FORBIDDEN, f"role {identity.role}", f"{needed} or above")

    def _log(self, identity: Identity, reason: str, route: str | None) -> None:
        """Warns of a refusal, without the path itself, which may hold a telephone number."""
        dropped = self._rejections.admit(("request_refused", reason))
        if dropped is not None:
            more = {"dropped": dropped} if dropped else {}
            log.warning("request_refused", reason=reason, route=route, name=identity.name, **more)


def presented_by(connection: HTTPConnection) -> Presented:
    """Returns what a request brings from which its sender may be known.

    A header that came more than once is one value, joined with ", ". The peer is the one that the
    server's protocol saw: `scope["client"]` is that of `X-Forwarded-For` if a local proxy sends
    it, and so what a client likes.
    """
    headers: dict[str, str] = {}
    for name, value in connection.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    peer: str | None = getattr(connection.state, PEER, None)
    return Presented(headers, connection.cookies, peer)


async def _identity(connection: HTTPConnection) -> Identity:  # plain `def` would cost a thread
    identity: Identity = getattr(connection.state, STATE, ANONYMOUS)
    return identity


IdentityDep = Annotated[Identity, Depends(_identity)]
