"""Limits of the HTTP server: connections, and the time and size of a request's head."""

import asyncio
import logging
import resource
from collections import Counter
from functools import partial
from typing import Any, cast

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.logs import EntryLimit

log = structlog.get_logger()

HEAD_BYTES = 32_768  # of a request head that is not complete
RESERVED_DESCRIPTORS = 128  # for Redis, files and AudioSocket
NEAR = 0.8  # of the limit, from which on the log warns

# Of its entries, warnings are about invalid requests, which `Connections` logs and limits.
_http_log = logging.getLogger("uvicorn.error.http")
_http_log.setLevel(logging.ERROR)


class Connections:
    """Counts the connections of one server and keeps them within its limits.

    Args:
        entries: limits the log entries about refused connections.
        most: open connections in all; fewer if the process may not open as many descriptors.
        most_per_address: open connections of one address.
        head_within_s: how long a client may take for the head of a request.
    """

    def __init__(
        self, entries: EntryLimit, most: int, most_per_address: int, head_within_s: float
    ) -> None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if descriptors != resource.RLIM_INFINITY:
            most = min(most, max(1, descriptors - RESERVED_DESCRIPTORS))
        self.most = most
        self.most_per_address = most_per_address
        self.head_within_s = head_within_s
        self._entries = entries
        self._open: Counter[str] = Counter()  # by address
        self._near = False

    def __len__(self) -> int:
        """Returns the number of open connections."""
        return self._open.total()

    def admit(self, address: str) -> bool:
        """Counts a new connection, or returns False because a limit is reached."""
        if len(self) >= self.most:
            self.refuse("too many connections", address)
            return False
        if self._open[address] >= self.most_per_address:
            self.refuse("too many connections of one address", address)
            return False
        self._open[address] += 1
        if not self._near and len(self) >= NEAR * self.most:
            self._near = True
            log.warning("connections_near_limit", connections=len(self), most=self.most)
        return True

    def release(self, address: str) -> None:
        """Counts the end of an admitted connection."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
        if len(self) < NEAR / 2 * self.most:
            self._near = False

    def refuse(self, reason: str, address: str) -> None:
        """Logs that a connection is refused or closed."""
        dropped = self._entries.admit(("connection_refused", reason))
        if dropped is not None:
            more = {"dropped": dropped} if dropped else {}
            log.warning("connection_refused", reason=reason, client=address, **more)


class HttpProtocol(H11Protocol):
    """A connection within the limits of `connections`; its client must send requests in time."""

    def __init__(self, *args: Any, connections: Connections, **more: Any) -> None:
        super().__init__(*args, **more)
        self.logger = _http_log
        self._limits = connections
        self._admitted = False
        self._address = "unknown"
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admits the connection, or answers 503 and closes it."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else "unknown"
        self._admitted = self._limits.admit(self._address)
        if self._admitted:
            self._await_head()
        else:
            self._answer_and_close(b"503 Service Unavailable")

    def data_received(self, data: bytes) -> None:
        """Parses bytes of a request."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the connection's place back."""
        self._stop_waiting()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        if self._admitted:
            self._limits.release(self._address)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hands the connection and its place among the connections to a `WebSocketProtocol`."""
        self._stop_waiting()
        release = partial(self._limits.release, self._address)
        usual = cast(Any, self.ws_protocol_class)
        self.ws_protocol_class = cast(Any, partial(usual, on_lost=release))
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP request, or one whose head is too long."""
        self._stop_waiting()
        self._limits.refuse("invalid request", self._address)
        super().send_400_response(msg)

    def _await_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self._limits.head_within_s, self._close_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close_late(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self._limits.refuse("no request in time", self._address)
            self._answer_and_close(b"408 Request Timeout")

    def _answer_and_close(self, status: bytes) -> None:
        head = b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        self.transport.write(head)
        self.transport.close()
