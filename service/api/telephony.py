"""The websocket routes on which providers connect: `/calls/{provider}`."""

import asyncio
import difflib
import time
from http import HTTPStatus
from typing import Any, NoReturn

import structlog
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.api.connection import Connection
from service.api.problem import HttpProblem
from service.api.services import Services, ServicesDep
from service.api.transport import WebSocketTransport
from service.telephony.providers import Providers
from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.bridge import Bridge
from service.telephony.shared.provider import BadQuery, Provider

log = structlog.get_logger()

REJECTION_S = 0.5  # how long each rejection takes, whatever its reason


def create_router(providers: Providers) -> APIRouter:
    """Returns a router with a websocket route for each provider; other paths get a 404."""
    router = APIRouter()
    for provider in providers.values():
        _add_route(router, provider)

    @router.websocket("/{path:path}")
    async def elsewhere(socket: WebSocket, path: str, services: ServicesDep) -> None:
        expected = nearest_path(path, providers)
        _log_rejection("unknown", "unknown_path", socket, services)
        raise HttpProblem(HTTPStatus.NOT_FOUND, "no such websocket path", expected)

    return router


def nearest_path(path: str, providers: Providers) -> str:
    """Returns the path that was probably meant, or all paths if none resembles the given one."""
    words = path.lower().replace("-", "/").replace("_", "/").split("/")
    for word in reversed(words):
        if found := difflib.get_close_matches(word[:64], providers, 1, 0.7):
            return f"/calls/{found[0]}"
    return " or ".join(f"/calls/{name}" for name in sorted(providers))


def _add_route(router: APIRouter, provider: Provider[Any]) -> None:
    @router.websocket(f"/calls/{provider.name}")
    async def connected(socket: WebSocket, services: ServicesDep) -> None:
        await _connected(provider, socket, services)


async def _connected(provider: Provider[Any], socket: WebSocket, services: Services) -> None:
    """Runs one connection, from the handshake to the close."""
    try:
        bridge = _create_bridge(provider, handshake_of(socket), services)
    except Unauthorized as rejection:
        await _reject(provider, rejection, socket, services)
    except BadQuery as query:
        _log_rejection(provider.name, "bad_query", socket, services)
        raise HttpProblem(HTTPStatus.BAD_REQUEST, query.got, query.expected) from query
    await services.nonces.settle()
    try:
        services.require_open()
    except HttpProblem:
        _log_rejection(provider.name, "not_ready", socket, services)
        raise
    offered = socket.scope["subprotocols"]
    subprotocol = next((name for name in bridge.SUBPROTOCOLS if name in offered), None)
    try:
        await socket.accept(subprotocol)
    except WebSocketDisconnect:  # the client left before the response
        return
    await Connection(WebSocketTransport(socket), bridge, provider.name, services).run()


def _create_bridge(provider: Provider[Any], handshake: Handshake, services: Services) -> Bridge:
    services.authenticators[provider.name].check(handshake, time.time())
    settings = services.settings
    return provider.create_bridge(settings, settings.bridge_options(provider.name), handshake)


async def _reject(
    provider: Provider[Any], rejection: Unauthorized, socket: WebSocket, services: Services
) -> NoReturn:
    """Counts, logs and answers a handshake without valid credentials, after a constant time.

    Raises:
        HttpProblem: 401, which does not show the reason.
    """
    name = provider.name
    services.metrics.handshakes_rejected.labels(name, rejection.reason).inc()
    _log_rejection(name, rejection.reason, socket, services)
    await asyncio.sleep(REJECTION_S)
    raise HttpProblem(
        HTTPStatus.UNAUTHORIZED, "no valid credentials", f"those that are set for {name}"
    ) from None


def _log_rejection(bridge: str, reason: str, socket: WebSocket, services: Services) -> None:
    """Logs a handshake that is refused for any reason; of many of one kind only some."""
    dropped = services.rejections.admit((bridge, reason))
    if dropped is not None:
        client = socket.client.host if socket.client else "unknown"
        more = {"dropped": dropped} if dropped else {}
        log.warning("handshake_rejected", bridge=bridge, reason=reason, client=client, **more)


def handshake_of(socket: WebSocket) -> Handshake:
    """Returns the handshake byte for byte as it came, because it may be signed."""
    query = socket.scope["query_string"].decode("latin-1")
    target = socket.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    headers: dict[str, str] = {}
    for name, value in socket.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Handshake(target, headers)
