"""uvicorn, as telephony needs it: calls are let end before their connections are."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Sized
from types import FrameType
from typing import TYPE_CHECKING

import structlog
import uvicorn

from service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.api.services import Services

log = structlog.get_logger()

CLOSING_S = 5.0  # for what was ended to say its last words
PAGES_S = 2  # for HTTP under way
POLL_S = 0.05
KEEPALIVE_S = 60  # of silence before the kernel asks whether a client is there


async def drain(services: "Services", within_s: float, hurry: threading.Event) -> None:
    """Lets calls end before the server does: run it when told to stop, then stop the server.

    /readyz says no and new calls are refused from now on; clients that can go on elsewhere are
    asked to. What is live after `within_s`, or at `hurry`, ends in its bridge's words.
    """
    services.stopping.set()
    if services.connections:
        log.info("draining", calls=len(services.calls), within_s=within_s)
    for connection in tuple(services.connections):
        connection.reconnect()
    if not services.failed.is_set():  # else they would wait in vain
        await _none_left(services.calls, within_s, hurry)
    for connection in tuple(services.connections):
        connection.end("service stopping")
    await _none_left(services.connections, CLOSING_S)


async def _none_left(things: Sized, within_s: float, hurry: threading.Event | None = None) -> None:
    last_s = asyncio.get_running_loop().time() + within_s
    while things and asyncio.get_running_loop().time() < last_s:
        if hurry and hurry.is_set():
            return
        await asyncio.sleep(POLL_S)


class Server(uvicorn.Server):
    """Serves `app` where the settings say, and drains it when told to stop.

    A second SIGINT (Ctrl-C) waits for no call any more, a third one for nothing.
    """

    def __init__(self, app: "FastAPI", settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.listens_at,
                port=settings.port,
                ws_max_size=settings.ws_max_size,
                # Older Asterisks hang the call up on a ping. TCP keepalive finds dead clients.
                ws_ping_interval=None,
                log_config=None,
                timeout_graceful_shutdown=PAGES_S,
            )
        )
        self._drain_s = settings.drain_s
        self._services: Services = app.state.services
        self.hurry = threading.Event()  # set by a signal's handler

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:  # what it accepts inherits them
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if hasattr(socket, "TCP_KEEPIDLE"):
                    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT and not self.hurry.is_set():
            self.hurry.set()
        else:
            super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        await super().main_loop()  # until told to stop
        draining = asyncio.create_task(drain(self._services, self._drain_s, self.hurry))
        while not (draining.done() or self.force_exit):
            await asyncio.wait((draining,), timeout=POLL_S)
        draining.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await draining
