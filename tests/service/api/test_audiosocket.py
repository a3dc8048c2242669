import contextlib
import socket as sockets
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import numpy as np
import pytest

from service.api.audiosocket import listeners
from service.errors import CantListen
from service.events import Pcm, Track
from service.settings import Settings
from tests.limits import ENOUGH_S
from tests.service.api.conftest import (
    ANGRY,
    STOP,
    Running,
    readings,
    ready,
    receive_until,
    running,
    start,
    until,
)

SLIN, SLIN16 = 0x10, 0x12
SPEECH: Pcm = np.ascontiguousarray(ANGRY[: 15 * 8000, 0])


def free_port() -> int:
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """A service with a port for each track, which analyses both."""
    ports = {"audiosocket_caller_port": free_port(), "audiosocket_agent_port": free_port()}
    with running(analyse_agent="safety of ambulance dispatchers", **ports) as server:
        yield ready(server)


def message(kind: int, payload: bytes) -> bytes:
    return struct.pack("!BH", kind, len(payload)) + payload


@contextmanager
def connected(
    service: Running, call_id: UUID, track: Track = Track.CALLER
) -> Iterator[sockets.socket]:
    port = getattr(service.services.settings, f"audiosocket_{track}_port")
    with sockets.create_connection(("127.0.0.1", port), timeout=ENOUGH_S) as connection:
        connection.sendall(message(0x01, call_id.bytes))
        yield connection


def send_audio(connection: sockets.socket, pcm: Pcm, kind: int = SLIN) -> None:
    for at in range(0, len(pcm), 160):
        connection.sendall(message(kind, pcm[at : at + 160].astype("<i2").tobytes()))


def hang_up(connection: sockets.socket) -> None:
    connection.sendall(message(0x00, b""))


def ended(service: Running, call_id: UUID) -> bool:
    return bool(service.get(f"/v1/calls/{call_id}").json().get("state") == "ended")


def test_a_call_over_tcp_gives_the_same_readings_as_over_a_websocket(service: Running) -> None:
    call_id = uuid4()
    with connected(service, call_id) as connection:
        send_audio(connection, SPEECH)
        hang_up(connection)
        until(lambda: ended(service, call_id))
        while connection.recv(65_536):  # silence, and then the end
            pass
    kept = service.get(f"/v1/calls/{call_id}").json()
    assert (kept["bridge"], kept["tracks"], kept["reason"]) == ("audiosocket", ["caller"], "hangup")
    with service.socket() as socket:
        socket.send(start("the same", encoding="l16"))
        for at in range(0, len(SPEECH), 4000):
            socket.send(SPEECH[at : at + 4000].tobytes())
        socket.send(STOP)
        native = readings(receive_until(socket))
    assert [round(r["end_s"], 3) for r in kept["readings"]] == [r["end_s"] for r in native]
    for one, other in zip(kept["readings"], native, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)


def test_asterisk_receives_silence_every_20_ms(service: Running) -> None:
    with connected(service, uuid4()) as connection:
        send_audio(connection, SPEECH[:160])
        began, received = time.monotonic(), b""
        while time.monotonic() - began < 1:
            received += connection.recv(65_536)
        frame = message(SLIN, bytes(320))
        assert received[: len(frame)] == frame
        assert 30 < len(received) / len(frame) < 60


def test_two_ports_carry_two_tracks_of_one_call_each_at_its_own_rate(service: Running) -> None:
    import soxr

    call_id = uuid4()
    wide = soxr.resample(ANGRY[: 15 * 8000, 1], 8000, 16_000, quality="VHQ")
    with connected(service, call_id) as caller, connected(service, call_id, Track.AGENT) as agent:
        send_audio(caller, SPEECH)
        for at in range(0, len(wide), 320):
            agent.sendall(message(SLIN16, wide[at : at + 320].astype("<i2").tobytes()))
        until(
            lambda: service.get(f"/v1/calls/{call_id}").json().get("tracks") == ["caller", "agent"]
        )
        assert len(service.services.calls) == 1
        hang_up(agent)
        until(lambda: len(service.services.connections) == 1)
        assert not ended(service, call_id)
        hang_up(caller)
        until(lambda: ended(service, call_id))
    kept = service.get(f"/v1/calls/{call_id}").json()
    assert {reading["track"] for reading in kept["readings"]} == {"caller", "agent"}
    assert kept["duration_s"] == pytest.approx(15, abs=2)


def test_a_connection_without_a_uuid_is_closed_and_counted(service: Running) -> None:
    port = service.services.settings.audiosocket_caller_port
    with sockets.create_connection(("127.0.0.1", port), timeout=ENOUGH_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while connection.recv(65_536):
            pass
    name = 'kanjo_message_errors_total{code="not_started",provider="audiosocket"}'
    until(lambda: service.metric(name) == 1)


def test_a_connection_ends_with_a_hang_up_and_no_reset(service: Running) -> None:
    port = service.services.settings.audiosocket_caller_port
    with sockets.create_connection(("127.0.0.1", port), timeout=ENOUGH_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(2_000_000))
        received = b""
        while data := connection.recv(65_536):  # raises if the connection is reset
            received += data
    assert received.endswith(b"\x00\x00\x00")
    assert len(received) % 323 == 3  # after whole messages of silence


def test_a_connection_that_is_reset_ends_its_call(service: Running) -> None:
    call_id = uuid4()
    with connected(service, call_id) as connection:
        send_audio(connection, SPEECH[:16_000])
        until(lambda: service.get(f"/v1/calls/{call_id}").status_code == 200)
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, linger)
    until(lambda: ended(service, call_id))
    assert service.get(f"/v1/calls/{call_id}").json()["reason"] == "disconnected"


def test_a_port_in_use_stops_the_start_and_leaves_no_other_bound() -> None:
    with sockets.create_server(("127.0.0.1", 0)) as other:
        used, free = other.getsockname()[1], free_port()
        settings = Settings(audiosocket_caller_port=free, audiosocket_agent_port=used)
        with pytest.raises(CantListen, match=f"127.0.0.1:{used}: Address already in use"):
            listeners(settings)
        sockets.create_server(("127.0.0.1", free)).close()


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"host": "0.0.0.0", "native_token": "t" * 16}, "127.0.0.1"),
        ({"host": "0.0.0.0", "trust_network": True}, "0.0.0.0"),
        ({"host": "::1"}, "::1"),
    ],
)
def test_ports_without_credentials_are_on_loopback_unless_clients_are_trusted(
    settings: dict[str, object], address: str
) -> None:
    bound = listeners(Settings.model_validate({"audiosocket_caller_port": free_port(), **settings}))
    assert set(bound) == {Track.CALLER}
    with bound[Track.CALLER] as listener:
        assert listener.getsockname()[0] == address


def test_its_connections_count_among_all_others(service: Running) -> None:
    until(lambda: len(service.connections) == 0)
    with connected(service, uuid4()):
        until(lambda: len(service.connections) == 1)
        most, service.connections.most = service.connections.most, 1
        try:
            with connected(service, uuid4()) as refused, contextlib.suppress(ConnectionResetError):
                assert refused.recv(1) == b""
        finally:
            service.connections.most = most
    until(lambda: len(service.connections) == 0)
