"""Refuses what pages of other sites send: HTTP requests and websockets, on every path."""

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.bridges import BridgeTokens
from service.access.origin import ForeignHost, ForeignOrigin, OwnAddresses
from service.api.problem import problem_response
from service.logs import EntryLimit
from service.telephony.shared.no_credentials import AcceptAll

log = structlog.get_logger()

MISDIRECTED = 421
FORBIDDEN = 403


class OriginCheck:
    """Passes on the requests whose `Host` and `Origin` are the service's own (`OwnAddresses`).

    The websockets of bridges with credentials are passed on unchecked: a page does not have those,
    and media servers send whatever `Origin` they like.

    Args:
        own: the service's addresses.
        rejections: limits the log entries.
    """

    def __init__(self, app: ASGIApp, own: OwnAddresses, rejections: EntryLimit) -> None:
        self._app = app
        self._own = own
        self._rejections = rejections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or has_credentials(scope):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        try:
            self._own.check(
                headers.get("host"),
                ",".join(origins) if origins else None,
                any_port=scope["type"] == "websocket",
            )
        except (ForeignHost, ForeignOrigin) as refusal:
            is_host = isinstance(refusal, ForeignHost)
            kind = "foreign_host" if is_host else "foreign_origin"
            dropped = self._rejections.admit(kind)
            if dropped is not None:
                more = {"dropped": dropped} if dropped else {}
                log.warning(kind, type=scope["type"], note=str(refusal), **more)
            response = problem_response(MISDIRECTED if is_host else FORBIDDEN, str(refusal))
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def has_credentials(scope: Scope) -> bool:
    """Returns whether the request is the websocket of a bridge that checks credentials."""
    if scope["type"] != "websocket" or not scope["path"].startswith("/calls/"):
        return False
    app: FastAPI = scope["app"]
    authenticator = app.state.services.authenticators.get(scope["path"].removeprefix("/calls/"))
    match authenticator:
        case None | AcceptAll() | BridgeTokens(open=True):
            return False
        case _:
            return True
