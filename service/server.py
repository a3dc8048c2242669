"""The uvicorn server with a stop that lets live calls end before it closes their connections."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Sized
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import structlog
import uvicorn

from service.api.http_protocol import HEAD_BYTES, HttpProtocol
from service.api.websocket_protocol import WebSocketProtocol
from service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.api.services import Services

log = structlog.get_logger()

CLOSING_S = 5.0  # for ended connections to send their last replies and close
PAGES_S = 2  # for HTTP requests in progress
POLL_S = 0.05
KEEPALIVE_S = 60  # without traffic before the kernel probes whether a client is still connected


async def drain(services: "Services", within_s: float, hurry: threading.Event) -> None:
    """Lets live calls end; to be run between the request to stop and the end of the server.

    From now on /readyz reports that the service is stopping, and new calls are refused. Clients
    whose protocol allows it are asked to continue elsewhere. Calls that are live after `within_s`,
    or when `hurry` is set, are ended in the way of their protocol.
    """
    services.stopping.set()
    if services.connections:
        log.info("draining", calls=len(services.calls), within_s=within_s)
    for connection in tuple(services.connections):
        connection.reconnect()
    if not services.failed.is_set():  # otherwise nothing would be scored in that time
        await _until_empty(services.calls, within_s, hurry)
    for connection in tuple(services.connections):
        connection.end("service stopping")
    await _until_empty(services.connections, CLOSING_S)


async def _until_empty(
    things: Sized, within_s: float, hurry: threading.Event | None = None
) -> None:
    by_s = asyncio.get_running_loop().time() + within_s
    while things and asyncio.get_running_loop().time() < by_s:
        if hurry and hurry.is_set():
            return
        await asyncio.sleep(POLL_S)


class Server(uvicorn.Server):
    """Serves `app` at the address of the settings, and drains it when it is stopped.

    A second SIGINT (Ctrl-C) ends the live calls at once, a third one the server.
    """

    def __init__(self, app: "FastAPI", settings: Settings) -> None:
        self._services: Services = app.state.services
        self.connections = self._services.limits
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.listens_at,
                port=settings.port,
                http=cast(Any, partial(HttpProtocol, connections=self.connections)),
                h11_max_incomplete_event_size=HEAD_BYTES,
                ws=WebSocketProtocol,
                ws_max_size=settings.ws_max_size,
                # A few bytes can inflate to the largest message, and no provider needs it.
                ws_per_message_deflate=False,
                # Older Asterisks hang up the call on a ping; TCP keepalive detects dead clients.
                ws_ping_interval=None,
                log_config=None,
                timeout_graceful_shutdown=PAGES_S,
            )
        )
        self._drain_s = settings.drain_s
        self.hurry = threading.Event()  # set by a signal handler: do not wait for live calls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:  # accepted sockets inherit the options
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if hasattr(socket, "TCP_KEEPIDLE"):
                    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        if self.started:  # and has said where it runs
            self._services.listening.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT and not self.hurry.is_set():
            self.hurry.set()
        else:
            super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        await super().main_loop()  # returns when the server is stopped
        draining = asyncio.create_task(drain(self._services, self._drain_s, self.hurry))
        while not (draining.done() or self.force_exit):
            await asyncio.wait((draining,), timeout=POLL_S)
        draining.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await draining
        self._services.store.feed.end()  # the pages' streams, which show live calls until here
