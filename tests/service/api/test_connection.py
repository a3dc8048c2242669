import contextlib

import pytest
from websockets.exceptions import ConnectionClosed

from service.api import connection as connection
from tests.service.api.clients import leaves_nothing, until_close
from tests.service.api.conftest import (
    SPOKEN,
    STOP,
    Running,
    call,
    readings,
    receive_until,
    speak,
    start,
)

pytestmark = pytest.mark.usefixtures("no_error_logged")


def test_a_call_gets_its_readings_and_alerts_and_then_the_summary(service: Running) -> None:
    with leaves_nothing(service), service.socket() as socket:
        socket.send(start("whole"))
        speak(socket)
        socket.send(STOP)
        messages, code = until_close(socket)
    assert code == 1000
    assert (messages[0]["type"], messages[-1]["type"]) == ("started", "stopped")
    summary = messages[-1]["summary"]
    assert summary["readings"] == len(readings(messages)) > 2
    assert summary["duration_s"] == len(SPOKEN) / 8000
    fired = [m for m in messages if m["type"] == "alert" and m["state"] == "firing"]
    assert summary["alerts"] == len(fired) == 2
    assert summary["dropped"] == 0


def test_readings_arrive_while_the_call_lasts(service: Running) -> None:
    with service.socket() as socket:
        socket.send(start("live"))
        speak(socket)
        assert receive_until(socket, "reading")[-1]["number"] == 1
        assert service.get("/readyz").status_code == 200
        socket.send(STOP)
        receive_until(socket)


def test_a_call_without_audio_is_a_call(service: Running) -> None:
    with service.socket() as socket:
        socket.send(start("without audio"))
        socket.send(STOP)
        messages, code = until_close(socket)
    assert [message["type"] for message in messages] == ["started", "stopped"]
    assert messages[-1]["summary"] == {
        "duration_s": 0,
        "speech_s": 0,
        "readings": 0,
        "alerts": 0,
        "dropped": 0,
    }
    assert code == 1000


@pytest.mark.parametrize(
    ("message", "error", "code"),
    [
        (start("x", encoding="opus"), "bad_start", 1003),
        (start("x", sample_rate=96_000), "bad_start", 1008),
        (start("x", tracks=[]), "bad_start", 1008),
        (start(""), "bad_start", 1008),
        (STOP, "not_started", 1008),
    ],
    ids=["encoding", "rate", "tracks", "call_id", "stop first"],
)
def test_an_invalid_start_ends_the_connection(
    service: Running, message: str, error: str, code: int
) -> None:
    with leaves_nothing(service), service.socket() as socket:
        socket.send(message)
        messages, close_code = until_close(socket)
    assert [(m["type"], m["code"], m["fatal"]) for m in messages] == [("error", error, True)]
    assert close_code == code


def test_an_error_within_a_call_is_reported_and_the_call_goes_on(service: Running) -> None:
    plain = call(service, "plain")
    with leaves_nothing(service), service.socket() as socket:
        socket.send(start("errors"))
        socket.send("{no json")
        socket.send('{"type": "song"}')
        socket.send(start("errors"))
        socket.send("audio as text " * 1000)
        socket.send("x" * 70_000)
        socket.send(b"")
        speak(socket)
        socket.send(STOP)
        messages, code = until_close(socket)
    assert code == 1000
    errors = [m["code"] for m in messages if m["type"] == "error"]
    assert errors == ["bad_json", "unknown_type", "already_started", "bad_json", "text_too_large"]
    assert [m["probabilities"] for m in readings(messages)] == [
        m["probabilities"] for m in readings(plain)
    ]


def test_frames_that_are_too_large_count_as_gaps(service: Running) -> None:
    with leaves_nothing(service), service.socket() as socket:
        socket.send(start("large frames"))
        for _ in range(3):
            socket.send(bytes(1_048_576))
        speak(socket)
        socket.send(STOP)
        messages, code = until_close(socket)
    assert code == 1000
    assert [m["code"] for m in messages if m["type"] == "error"] == ["frame_too_large"] * 3
    gap_s = 3 * 1_048_576 / 8000
    assert messages[-1]["summary"]["duration_s"] == pytest.approx(
        gap_s + len(SPOKEN) / 8000, abs=0.001
    )
    assert all(reading["start_s"] > gap_s for reading in readings(messages))
    assert len(readings(messages)) > 2


def test_a_frame_above_the_websocket_limit_closes_the_connection(service: Running) -> None:
    with leaves_nothing(service), service.socket() as socket:
        socket.send(start("too large a frame"))
        receive_until(socket, "started")
        with contextlib.suppress(ConnectionClosed):  # while it is still being sent
            socket.send(bytes(service.services.settings.ws_max_size + 1))
        _, code = until_close(socket)
    assert code == 1009


def test_audio_before_the_start_is_kept(service: Running) -> None:
    plain = call(service, "in order")
    with service.socket() as socket:
        speak(socket, SPOKEN[:40_000])
        socket.send(start("late"))
        speak(socket, SPOKEN[40_000:])
        socket.send(STOP)
        assert readings(receive_until(socket)) == readings(plain)
