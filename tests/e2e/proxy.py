"""A reverse proxy between a browser and the service, which can fail as real ones do."""

import contextlib
import socket
import threading
import time
from socketserver import BaseRequestHandler, ThreadingTCPServer
from types import TracebackType
from typing import Self

from tests.limits import ENOUGH_S

CHUNK = 65_536
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b"
) % (len(PAGE), PAGE)


class Proxy(ThreadingTCPServer):
    """Passes every connection on to a local port, unless it is told to fail.

    It reads no HTTP but the first bytes of what a browser sends, which is a request at a time.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = ("127.0.0.1", port)
        self.heartbeat_at = 0.0  # wall clock, epoch seconds: when the last one was passed
        self.streams_flow = threading.Event()
        self.streams_flow.set()
        self.has_upstream = True
        self.streams: set[socket.socket] = set()  # browsers' connections with streams of events

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def stall_streams(self) -> None:
        """Keeps streams of events open, and back what comes in them; other requests pass."""
        self.streams_flow.clear()

    def lose_upstream(self) -> None:
        """Breaks off the streams of events, and answers each request with 502 and HTML."""
        self.has_upstream = False
        for stream in list(self.streams):
            with contextlib.suppress(OSError):  # the browser has closed it
                stream.shutdown(socket.SHUT_RDWR)

    def recover(self) -> None:
        """Passes everything on again, first what was kept back."""
        self.has_upstream = True
        self.streams_flow.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.recover()
        self.shutdown()
        self.server_close()


class _Connection(BaseRequestHandler):
    """One connection of a browser, and the one to the service that belongs to it."""

    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream, ENOUGH_S) as upstream:
            threading.Thread(target=self._answer, args=(upstream,), daemon=True).start()
            with contextlib.suppress(OSError):  # either side has closed it
                while data := self.request.recv(CHUNK):
                    if not self.server.has_upstream:
                        self.request.sendall(BAD_GATEWAY)
                        break
                    if data.startswith(b"GET /v1/events"):
                        self.server.streams.add(self.request)
                    upstream.sendall(data)

    def _answer(self, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either side has closed it
            while data := upstream.recv(CHUNK):
                if self.request in self.server.streams:
                    assert self.server.streams_flow.wait(ENOUGH_S)
                if b"event: heartbeat" in data:
                    self.server.heartbeat_at = time.time()
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        self.server.streams.discard(self.request)
