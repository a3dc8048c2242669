"""Starts that are refused and streams that can't be analysed: what an operator learns of them."""

import json
from typing import Any

import pytest

from tests.service.api.conftest import SPOKEN, Running, speak, start, until


def exotel(event: str, **content: Any) -> str:
    return json.dumps({"event": event, "stream_sid": "s", event: content})


def exotel_start(call_id: str, encoding: str = "raw/slin") -> str:
    audio = {"encoding": encoding, "sample_rate": "8000"}
    return exotel("start", call_sid=call_id, stream_sid="s", media_format=audio)


def exotel_media(number: int, track: str) -> str:
    return exotel("media", chunk=number, timestamp=20 * number, payload="AAAA", track=track)


def problem(service: Running, call_id: str) -> str:
    """Returns the problem in the record of a call, or an empty text."""
    found = service.get(f"/v1/calls/{call_id}").json()
    metadata = found.get("metadata") or found.get("call", {}).get("metadata", {})
    return str(metadata.get("kanjo.problem", ""))


def test_a_refused_start_is_a_warning_with_its_reason(
    service: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    metric = 'kanjo_calls_refused_total{provider="exotel",reason="StartRefused"}'
    with service.socket("/calls/exotel") as socket:
        socket.send(exotel_start("refused", encoding="OPUS"))
        until(lambda: socket.close_code is not None or socket.state.name != "OPEN")
        until(lambda: metric in service.get("/metrics").text)
    text = capfd.readouterr().out
    assert "start_refused" in text
    assert "got encoding 'OPUS', expected audio/x-raw" in text


def test_a_live_deaf_stream_is_a_warning_in_log_metrics_and_record(
    service: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    reason = "got no audio that can be used, dropped messages: mixed_speakers 50"
    with service.socket("/calls/exotel") as socket:
        socket.send(exotel_start("deaf"))
        for number in range(60):
            socket.send(exotel_media(number, "both"))
        until(lambda: problem(service, "deaf") == reason)
        labels = 'provider="exotel",reason="dropped"'
        assert service.metric(f"kanjo_unusable_streams_total{{{labels}}}") == 1
    assert reason in capfd.readouterr().out


def test_a_short_deaf_stream_is_one_too(service: Running) -> None:
    with service.socket("/calls/exotel") as socket:
        socket.send(exotel_start("short"))
        socket.send(exotel_media(1, "both"))
        socket.send(exotel("stop", call_sid="short"))
        until(lambda: "mixed_speakers 1" in problem(service, "short"))


def test_noise_in_place_of_speech_is_reported_and_speech_is_not(service: Running) -> None:
    with service.socket() as noise, service.socket() as speech:
        noise.send(start("swapped", encoding="l16", metadata={"queue": "billing"}))
        speech.send(start("right", metadata={"queue": "billing"}))
        for at in range(0, len(SPOKEN), 800):
            noise.send(SPOKEN[at : at + 800].byteswap().tobytes())
        speak(speech)
        until(lambda: "byte order" in problem(service, "swapped"))
        assert problem(service, "right") == ""
