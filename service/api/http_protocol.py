"""The server's HTTP protocol: uvicorn's, for strangers who send and read as they like."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import h11
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.api.access import PEER
from service.connections import Connections, Place

HEAD_BYTES = 32_768  # of a request's head, whether it comes at once or not
TARGET_BYTES = 8_192  # of them in the address
HEADERS = 100  # in a request's head
BODY_BYTES_PER_S = 4_096  # least rate of a body
HEALTH_HEAD_S = 2.0  # for the request of a connection beyond the limits
HEALTH_PATHS = ("/healthz", "/readyz")
WRITE_CHUNK = "write_chunk"  # where a request carries `HttpProtocol.write_chunk`

# Of its entries, warnings are about invalid requests, which `Connections` logs and limits. It is a
# filter, because a level would be lost when logging is configured after this.
_http_log = logging.getLogger("uvicorn.error.http")
_http_log.addFilter(lambda record: record.levelno >= logging.ERROR)


class HttpProtocol(H11Protocol):
    """A connection within the limits of `connections`; its client must send and read in time.

    - A request's head has limits in bytes, headers and time, a body a least rate.
    - A client that reads nothing for some time is disconnected.
    - Beyond the limits of connections a few may ask for `HEALTH_PATHS`.
    """

    def __init__(self, *args: Any, connections: Connections, **more: Any) -> None:
        super().__init__(*args, **more)
        self.logger = _http_log
        self._usual_app = self.app
        self._limits = connections
        self._place: Place | None = None
        self._address = "unknown"
        self._timers: dict[str, asyncio.TimerHandle] = {}  # by what must happen before they end
        self._unread_bytes = 0  # written, when `_unread` began
        self._body_bytes = 0  # since the last check

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admits the connection, or answers 503 and closes it."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else "unknown"
        self._place = self._limits.admit(self._address, health=True)
        if self._place:
            self._await_head()
        else:
            self._answer_and_close(HTTPStatus.SERVICE_UNAVAILABLE)

    def data_received(self, data: bytes) -> None:
        """Parses the next bytes of a request, within the limits of a head."""
        if self.transport.is_closing():
            return
        self._body_bytes += len(data)
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return  # a websocket now
        their_state = self.conn.their_state
        if their_state is h11.IDLE:
            self._await_head()
        else:
            self._stop_timer("head")
        if their_state is h11.SEND_BODY and "body" not in self._timers:
            self._body_bytes = 0
            self._start_timer("body", self._limits.check_s, self._check_body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the connection's place back."""
        self._stop_timers()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        if self.scope:
            self.scope["state"].pop(WRITE_CHUNK, None)  # which refers to this protocol
        if self._place:
            self._limits.release(self._address, self._place)

    def pause_writing(self) -> None:
        """Begins to wait for a client that does not read."""
        super().pause_writing()
        self._await_reader()

    def on_response_complete(self) -> None:
        """Waits for the client to read the response."""
        super().on_response_complete()
        self._await_reader()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hands the connection and its place among the connections to a `WebSocketProtocol`."""
        self._stop_timers()
        assert self._place
        release = partial(self._limits.release, self._address, self._place)
        usual = cast(Any, self.ws_protocol_class)
        self.ws_protocol_class = cast(Any, partial(usual, on_lost=release))
        super().handle_websocket_upgrade(event)

    def write_chunk(self, data: bytes) -> bool:
        """Writes some bytes of a response's body without the application's task.

        To be called only while the application waits between two sends. Returns False, and writes
        nothing, if it can't be done now: the client reads too slowly or has gone, the response is
        not open, or it has no chunks (HTTP/1.0). The application then sends the bytes as usual.
        """
        cycle = self.cycle
        if (
            self.transport.is_closing()
            or self.flow.write_paused
            or self.conn.our_state is not h11.SEND_BODY
            or self.conn.their_http_version != b"1.1"
            or cycle.response_complete
            or not cycle.response_started
        ):
            return False
        # RFC 9112, section 7.1: the size in hexadecimal digits, the data.
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP request, or one whose head is too long."""
        self._stop_timers()
        self._limits.refuse("invalid request", self._address)
        super().send_400_response(msg)

    def _should_upgrade(self) -> bool:
        """Looks at a complete head; a request that is refused is answered by an app of its own."""
        self.scope["state"][PEER] = self._address
        self.scope["state"][WRITE_CHUNK] = self.write_chunk
        refusal = self._refusal()
        self.app = self._usual_app if refusal is None else cast(Any, _refusing(refusal))
        if refusal is None and self._place is Place.HEALTH:
            self.app = cast(Any, partial(_answer_once, self._usual_app))
        return refusal is None and super()._should_upgrade()

    def _refusal(self) -> HTTPStatus | None:
        target = len(self.scope["raw_path"]) + len(self.scope["query_string"])
        head = target + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if self._place is Place.HEALTH and (
            self.scope["path"] not in HEALTH_PATHS or self._get_upgrade()
        ):
            self._limits.refuse("too many connections", self._address)
            return HTTPStatus.SERVICE_UNAVAILABLE
        if target > TARGET_BYTES:
            refusal = HTTPStatus.REQUEST_URI_TOO_LONG
        elif head > HEAD_BYTES or len(self.headers) > HEADERS:
            refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        else:
            return None
        self._limits.refuse("invalid request", self._address)
        return refusal

    def _await_head(self) -> None:
        within_s = self._limits.head_within_s
        if self._place is Place.HEALTH:
            within_s = min(within_s, HEALTH_HEAD_S)
        self._start_timer("head", within_s, self._close_late)

    def _await_reader(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        if self._unread_bytes:
            self._start_timer("read", self._limits.read_within_s, self._close_unread)

    def _start_timer(self, name: str, within_s: float, ended: Callable[[], None]) -> None:
        """Starts a timer, unless it runs."""
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(within_s, self._end_timer, name, ended)

    def _end_timer(self, name: str, ended: Callable[[], None]) -> None:
        del self._timers[name]
        ended()

    def _stop_timer(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _stop_timers(self) -> None:
        for name in tuple(self._timers):
            self._stop_timer(name)

    def _close_late(self) -> None:
        if not self.transport.is_closing():
            self._limits.refuse("no request in time", self._address)
            self._answer_and_close(HTTPStatus.REQUEST_TIMEOUT)

    def _check_body(self) -> None:
        """Closes the connection if its body came too slowly; looks again later otherwise."""
        if self.conn.their_state is not h11.SEND_BODY or self.transport.is_closing():
            return
        # While the service does not read, the client is not to blame.
        if self._body_bytes < BODY_BYTES_PER_S * self._limits.check_s and not self.flow.read_paused:
            self._limits.refuse("body too slow", self._address)
            if self.cycle.response_started:
                self.transport.abort()
            else:
                self._answer_and_close(HTTPStatus.REQUEST_TIMEOUT)
            return
        self._body_bytes = 0
        self._start_timer("body", self._limits.check_s, self._check_body)

    def _close_unread(self) -> None:
        """Disconnects a client that has read nothing meanwhile."""
        unread_bytes = self.transport.get_write_buffer_size()
        if not unread_bytes:
            return
        if unread_bytes < self._unread_bytes:
            self._await_reader()
            return
        self._limits.refuse("response not read", self._address)
        self.transport.abort()

    def _answer_and_close(self, status: HTTPStatus) -> None:
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        self.transport.write(line.encode() + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
        self._await_reader()


def _refusing(status: HTTPStatus) -> Callable[..., Any]:
    """Returns an application that answers every request with this status and closes."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        headers = [(b"connection", b"close"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def _answer_once(
    app: Any, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """Answers one request and closes the connection."""

    async def send_last(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    await app(scope, receive, send_last)
