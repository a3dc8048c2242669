"""One attempt: what the connection goes to, what the answer may be, and what is told of it."""

import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from standardwebhooks import Webhook

from service import logs
from service.api.numbers import hidden
from service.webhooks.notice import Notice
from service.webhooks.receivers import Receiver
from service.webhooks.sender import Outcome, Result, Sender
from tests.service.webhooks.harness import to
from tests.service.webhooks.http_receiver import (
    FACTS,
    SECRET,
    Answer,
    HttpReceiver,
    receiving,
    transition,
)

TLS = httpx.create_ssl_context(trust_env=False)
NOTICE = Notice.of("s1", "twilio", FACTS, transition(), 1_800_000_000.0, hidden)


async def attempt(fields: dict[str, Any], tls: ssl.SSLContext = TLS, **more: Any) -> Outcome:
    sender = Sender(Receiver.model_validate(fields), tls, **more)
    try:
        return await sender.send(NOTICE)
    finally:
        await sender.close()


async def test_a_request_is_signed_and_names_the_host() -> None:
    with receiving() as receiver:
        url = f"http://localhost:{receiver.port}/hook?x=1"
        assert await attempt(to(receiver, url=url)) == Outcome(Result.DELIVERED)
    (request,) = receiver.requests
    assert request.path == "/hook?x=1"
    assert request.headers["host"] == f"localhost:{receiver.port}"
    event = Webhook(SECRET).verify(request.body, dict(request.headers))
    assert event["data"]["text"] == "sounds angry (0.83)"


async def test_each_attempt_connects_to_the_address_that_it_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that resolves to a public address first and to a private one later is refused."""
    answers = ["8.8.8.8", "127.0.0.1"]
    connected: list[str] = []

    def getaddrinfo(host: str | bytes, port: int, *_: Any, **__: Any) -> list[Any]:
        if host in ("rebinding.example", b"rebinding.example"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]
        connected.append(host if isinstance(host, str) else host.decode())
        raise OSError("not in a test")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    fields = {"url": "https://rebinding.example/hook", "secret": SECRET}
    sender = Sender(Receiver.model_validate(fields), TLS, within_s=0.3)
    try:
        first = await sender.send(NOTICE)
        second = await sender.send(NOTICE)
    finally:
        await sender.close()
    assert first.result is Result.FAILED
    assert set(connected) <= {"8.8.8.8"}
    assert second.result is Result.REFUSED
    assert answers == []


async def test_an_endless_answer_is_not_read() -> None:
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(200, body=b"x" * 50_000_000)
        assert await attempt(to(receiver)) == Outcome(Result.DELIVERED)


async def test_an_answer_that_is_no_http_is_a_failure() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        client, _ = server.accept()
        with client:
            client.recv(65_536)
            client.sendall(b"220 mail.example ESMTP\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    outcome = await attempt({"url": url, "secret": SECRET, "allow_private": True})
    thread.join()
    server.close()
    assert outcome.result is Result.FAILED
    assert outcome.problem.startswith("got no answer: ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("7", 7.0), ("0", 0.0), ("-3", 0.0), ("999999", 3600.0), ("soon", None), ("nan", None)],
)
async def test_retry_after_is_read_and_bounded(given: str, expected: float | None) -> None:
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(429, {"Retry-After": given})
        outcome = await attempt(to(receiver))
    assert outcome == Outcome(Result.FAILED, "got HTTP 429, expected 2xx", expected)


async def test_nothing_logs_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    """The addresses of Slack and Teams are secrets, and httpx logs each by default."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("debug", "json")
    # Loggers that are kept from their first use would write there in the tests that follow, too.
    structlog.configure(cache_logger_on_first_use=False)
    try:
        with receiving() as receiver:
            await attempt(to(receiver))
            receiver.answer = lambda request: Answer(500)
            await attempt(to(receiver))
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    assert "/hook" not in capsys.readouterr().err


@contextmanager
def with_certificate(folder: Path, name: str) -> Iterator[tuple[HttpReceiver, ssl.SSLContext]]:
    """A receiver over TLS whose certificate is for `name`, and a context that trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with receiving(tls=server) as receiver:
        yield receiver, trusting


@pytest.mark.parametrize(("name", "accepted"), [("localhost", True), ("other.example", False)])
async def test_the_certificate_must_be_the_hosts(tmp_path: Path, name: str, accepted: bool) -> None:
    with with_certificate(tmp_path, name) as (receiver, trusting):
        url = f"https://localhost:{receiver.port}/hook"
        outcome = await attempt(to(receiver, url=url), trusting)
    assert (outcome.result is Result.DELIVERED) is accepted
    assert len(receiver.requests) == accepted
