"""Strangers on raw sockets: their requests are bounded in bytes and in time."""

import socket as sockets
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.limits import ENOUGH_S
from tests.service.api.conftest import Running, call, ready, running, until


@pytest.fixture(scope="module")
def hasty() -> Iterator[Running]:
    """A service that closes connections without a request after half a second."""
    with running(head_within_s=0.5) as server:
        yield ready(server)


def connected(server: Running) -> sockets.socket:
    host, port = server.address.split(":")
    return sockets.create_connection((host, int(port)), timeout=ENOUGH_S)


def test_an_endless_header_is_refused_after_a_few_bytes() -> None:
    with running() as server, connected(ready(server)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Endless: ")
        client.settimeout(0.02)
        sent, answer = 0, b""
        while not answer:
            assert sent < 100_000
            sent += client.send(b"a" * 1024)
            try:
                answer = client.recv(4096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 4")


def test_a_flood_in_one_header_is_cut_off(hasty: Running) -> None:
    with connected(hasty) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Endless: ")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.sendall(b"a" * 100_000_000)
    assert hasty.get("/healthz").status_code == 200


def test_silent_connections_are_closed_and_calls_go_on(hasty: Running) -> None:
    silent = [connected(hasty) for _ in range(300)]
    try:
        assert call(hasty, "beside")[-1]["type"] == "stopped"
        until(lambda: len(hasty.connections) == 0, within_s=ENOUGH_S)
        for client in silent:
            assert client.recv(100).startswith(b"HTTP/1.1 408 ")
    finally:
        for client in silent:
            client.close()


def test_a_head_that_comes_in_drops_must_be_complete_in_time(hasty: Running) -> None:
    with connected(hasty) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        client.settimeout(0.1)
        answer = b""
        while not answer:
            assert time.monotonic() - began < 5
            client.sendall(b"X: 1\r\n")
            try:
                answer = client.recv(100)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_and_an_open_websocket_is_not(hasty: Running) -> None:
    with hasty.socket() as websocket, connected(hasty) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while client.recv(4096):  # until the service closes
            pass
        websocket.send("a text")
        assert websocket.recv(timeout=ENOUGH_S)


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
def test_connections_beyond_a_limit_are_refused_until_others_end(limit: str) -> None:
    with running(**{limit: 3}) as server:
        ready(server)
        until(lambda: len(server.connections) == 0)
        with server.socket(), server.socket(), server.socket():
            with connected(server) as client, connected(server) as further:
                assert further.recv(100).startswith(b"HTTP/1.1 503 ")
                client.sendall(b"GET /calls HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 503 ")
            for path in ("/healthz", "/readyz"):
                until(lambda path=path: server.get(path).status_code == 200)  # type: ignore[misc]
            with pytest.raises(InvalidStatus):
                server.socket().close()
        until(lambda: len(server.connections) == 0)
        assert server.get("/healthz").status_code == 200
