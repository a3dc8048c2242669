"""A real receiver over HTTP, whose answers a test chooses, and what the tests tell it."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from model.labels import Emotion
from service.events import AlertState, CallFacts, Track, Transition
from tests.limits import ENOUGH_S

SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class Answer:
    """What the receiver does with a request."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    release: threading.Event | None = None  # it answers when this is set
    body: bytes = b""


@dataclass
class Request:
    """What the receiver got."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float  # on time.monotonic
    status: int  # with which it was answered

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HttpReceiver:
    """Listens on a port of loopback; `answer` decides about each request."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.answer: Callable[[Request], Answer] = lambda request: Answer()
        self.requests: list[Request] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.path, headers, body, time.monotonic(), 0)
                answer = receiver.answer(request)
                request.status = answer.status
                receiver.requests.append(request)
                if answer.release:
                    answer.release.wait(ENOUGH_S)
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    pass  # the service did not wait

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def accepted(self) -> list[str]:
        """The ids of the notices that were answered with 2xx, in their order."""
        return [each.headers["webhook-id"] for each in self.requests if each.status < 300]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[HttpReceiver]:
    receiver = HttpReceiver(port, tls)
    try:
        yield receiver
    finally:
        receiver.close()


def transition(
    alert: str = "s1-caller-1",
    number: int = 2,
    state: AlertState = AlertState.FIRING,
    emotion: Emotion = Emotion.ANGER,
    call_id: str = "CA17",
) -> Transition:
    return Transition(
        alert_id=alert,
        number=number,
        call_id=call_id,
        track=Track.CALLER,
        emotion=emotion,
        state=state,
        since_s=1.0,
        at_s=4.5,
        probability=0.83,
        peak=0.91,
    )


FACTS = CallFacts(
    caller_number="+4930123456789", called_number="+498001234567", queue="support", agent="Zoltan"
)
