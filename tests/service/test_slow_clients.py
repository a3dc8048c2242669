"""Clients that read or send too slowly, or that ask for too much at once."""

import asyncio
import contextlib
import socket as sockets
import time
from collections.abc import Iterator

import pytest

from service.api.http_protocol import HEAD_BYTES, HEADERS, TARGET_BYTES
from service.api.uploads import SLOW_AFTER_S, Uploads
from tests.limits import ENOUGH_S
from tests.service.api.conftest import Running, ready, running, until
from tests.service.test_connections import connected


@pytest.fixture(scope="module")
def impatient() -> Iterator[Running]:
    """A service that waits half a second for readers and for bodies."""
    with running() as server:
        server.connections.read_within_s = server.connections.check_s = 0.5
        yield ready(server)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * TARGET_BYTES + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: 1\r\n" * HEADERS + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"1" * HEAD_BYTES + b"\r\n\r\n", b"4"),
    ],
    ids=["address", "headers", "bytes"],
)
def test_a_head_that_comes_at_once_is_limited_too(
    impatient: Running, head: bytes, status: bytes
) -> None:
    with connected(impatient) as client:
        client.sendall(head)
        assert client.recv(100).startswith(b"HTTP/1.1 " + status)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(4096):  # until the service closes
                pass


def test_a_handshake_with_too_many_headers_is_refused(impatient: Running) -> None:
    head = b"GET /calls/native HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    with connected(impatient) as client:
        client.sendall(head + b"X: 1\r\n" * HEADERS + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 431 ")


def test_a_body_that_trickles_is_refused_and_its_place_is_free_again(impatient: Running) -> None:
    head = (
        b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 1000000\r\n\r\n--b\r\n"
        b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    )
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(impatient)) for _ in range(16)]
        for client in slow:
            client.sendall(head)
        until(impatient.services.uploads.locked)
        for client in slow:
            client.settimeout(0.05)
        deadline = time.monotonic() + ENOUGH_S
        answers: dict[sockets.socket, bytes] = {}
        while len(answers) < len(slow):
            assert time.monotonic() < deadline, answers
            for client in {*slow} - {*answers}:
                try:
                    client.sendall(b"x")
                    answers[client] = client.recv(100)
                except TimeoutError:
                    continue
        assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers.values())
    until(lambda: not impatient.services.uploads.locked())


async def test_the_slowest_upload_gives_way_when_all_places_are_taken() -> None:
    """Sixteen that are just fast enough to go on must not lock a new one out."""
    uploads = Uploads()
    loop = asyncio.get_running_loop()
    outcomes: list[int] = []

    async def slow(number: int) -> None:
        try:
            async with uploads.begin(300) as upload:
                upload.received = 1_000_000 if number else 50_000
                async with upload.part():
                    await asyncio.Future()
        except TimeoutError:
            outcomes.append(number)

    tasks = [asyncio.create_task(slow(number)) for number in range(16)]
    await asyncio.sleep(0)
    assert uploads.locked()
    assert not uploads.make_place()  # their rates are not known yet
    now_s = loop.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", lambda: now_s() + SLOW_AFTER_S)
        assert uploads.make_place()
        assert not uploads.make_place()  # the others are not slow
    async with asyncio.timeout(ENOUGH_S), uploads.begin(300):
        assert outcomes == [0]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_client_that_reads_no_response_is_disconnected(impatient: Running) -> None:
    requests = 1_000_000 * b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    host, port = impatient.address.split(":")
    with sockets.socket() as client:
        client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.settimeout(20)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.sendall(requests)  # more than the buffers of both sides hold
    until(lambda: len(impatient.connections) == 0)
