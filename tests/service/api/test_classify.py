import io
import json
import select
import socket
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import soxr

from model import MODELS, SHIPPED
from model.audio import SAMPLE_RATE, Pcm
from model.labels import EMOTIONS
from service.classification import Classifier
from tests.limits import ENOUGH_S
from tests.service.api.conftest import (
    ANGRY,
    SPOKEN,
    Running,
    call,
    readings,
    ready,
    running,
)

MOST_BYTES = 200_000
MOST_S = 12


@pytest.fixture(scope="module")
def narrow() -> Iterator[Running]:
    """A service that accepts only small and short recordings."""
    with running(classify_max_bytes=MOST_BYTES, classify_max_s=MOST_S) as server:
        yield ready(server)


@pytest.fixture(scope="module")
def ungated() -> Iterator[Running]:
    """A service without a gate, with other window lengths, that drops no late windows."""
    with running(gate=False, first_s=2, hop_s=1.5, window_max_age_s=600) as server:
        yield ready(server)


def encoded(pcm: Pcm, rate: int = SAMPLE_RATE, format: str = "WAV", subtype: str = "") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, pcm, rate, format=format, subtype=subtype or None)
    return file.getvalue()


def post(server: Running, data: bytes, type: str = "audio/wav", **form: str) -> httpx.Response:
    with server.client() as client:
        return client.post("/classify", files={"file": ("a.wav", data, type)}, data=form)


def classified(
    server: Running, data: bytes, type: str = "audio/wav", **form: str
) -> dict[str, Any]:
    response = post(server, data, type, **form)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def refused(response: httpx.Response, status: int, got: str, expected: str = "") -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert got in problem["detail"]
    assert expected in problem["detail"]


def assert_same(one: dict[str, Any], other: dict[str, Any], within: float = 1e-3) -> None:
    """Asserts that two responses have as many windows and the same probabilities."""
    assert len(one["windows"]) == len(other["windows"])
    for emotion in EMOTIONS:
        assert one["probabilities"][emotion] == pytest.approx(
            other["probabilities"][emotion], abs=within
        )


# Recordings that are accepted.


def test_a_recording_gets_the_same_result_as_from_the_command(service: Running) -> None:
    data = encoded(SPOKEN)
    answer = classified(service, data)
    expected = Classifier.load().classify(io.BytesIO(data))
    assert_same(answer, expected.model_dump(mode="json"), within=1e-5)
    assert answer["duration_s"] == len(SPOKEN) / SAMPLE_RATE
    assert 2 < answer["speech_s"] < answer["duration_s"]
    assert answer["emotion"] == max(EMOTIONS, key=answer["probabilities"].__getitem__)
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["model"]["version"] == service.services.scorer.meta.version
    ends = [window["end_s"] for window in answer["windows"]]
    assert ends == sorted(ends)
    assert ends[-1] <= answer["duration_s"]


@pytest.mark.parametrize("name", [name for name, path in MODELS.items() if path != SHIPPED])
def test_with_another_model_that_ships_it_is_the_same_too(name: str) -> None:
    data = encoded(SPOKEN)
    with running(model=MODELS[name]) as server:
        answer = classified(ready(server), data)
    expected = Classifier.load(MODELS[name]).classify(io.BytesIO(data))
    assert_same(answer, expected.model_dump(mode="json"), within=1e-5)
    assert answer["model"]["name"] == f"kanjo-{name}"


def test_without_the_gate_everything_is_scored_as_in_a_live_call(ungated: Running) -> None:
    windows = classified(ungated, encoded(SPOKEN))["windows"]
    assert [window["end_s"] for window in windows] == [2, 3.5, 5, 6.5, 8, 9]
    assert [(window["start_s"], window["end_s"]) for window in windows] == [
        (reading["start_s"], reading["end_s"]) for reading in readings(call(ungated, "live"))
    ]


def test_without_the_gate_silence_is_scored_too(ungated: Running) -> None:
    answer = classified(ungated, encoded(np.zeros(5 * SAMPLE_RATE, np.int16)))
    assert [window["end_s"] for window in answer["windows"]] == [2, 3.5, 5]
    assert answer["speech_s"] == answer["duration_s"] == 5
    assert answer["emotion"] is not None


@pytest.mark.parametrize(
    ("format", "subtype", "type"),
    [
        ("WAV", "PCM_24", "audio/x-wav"),
        ("WAV", "FLOAT", "audio/wav"),
        ("WAV", "ULAW", "audio/wav"),
        ("FLAC", "", "audio/flac"),
        ("OGG", "VORBIS", "application/ogg"),
        ("MP3", "", "audio/mpeg"),
    ],
)
def test_every_format_is_classified_by_its_samples(
    service: Running, format: str, subtype: str, type: str
) -> None:
    data = encoded((SPOKEN / 32768).astype(np.float32), format=format, subtype=subtype)
    decoded = soundfile.read(io.BytesIO(data), dtype="float32")[0]
    plain = np.rint(decoded * 32768).clip(-32768, 32767).astype(np.int16)
    answer = classified(service, data, type)
    assert answer["duration_s"] == pytest.approx(len(SPOKEN) / SAMPLE_RATE, abs=0.2)
    assert_same(answer, classified(service, encoded(plain)), within=0.01)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_every_sample_rate_gets_the_same_result(service: Running, rate: int) -> None:
    wide = soxr.resample(SPOKEN, SAMPLE_RATE, rate)
    answer = classified(service, encoded(wide, rate))
    assert answer["duration_s"] == pytest.approx(len(SPOKEN) / SAMPLE_RATE, abs=0.01)
    assert_same(answer, classified(service, encoded(SPOKEN)), within=0.1)


def test_a_channel_of_a_stereo_file_is_classified_alone(service: Running) -> None:
    stereo = encoded(ANGRY[: 12 * SAMPLE_RATE])
    for channel, pcm in [
        ("0", ANGRY[: 12 * SAMPLE_RATE, 0]),
        ("1", ANGRY[: 12 * SAMPLE_RATE, 1]),
        ("mix", ANGRY[: 12 * SAMPLE_RATE].mean(axis=1).round().astype(np.int16)),
    ]:
        alone = classified(service, encoded(pcm))
        assert_same(classified(service, stereo, channel=channel), alone, within=0.01)
    assert classified(service, stereo) == classified(service, stereo, channel="0")


def test_a_mono_file_has_a_channel_0(service: Running) -> None:
    data = encoded(SPOKEN)
    assert classified(service, data, channel="0") == classified(service, data)


@pytest.mark.parametrize(
    "pcm",
    [np.zeros(5 * SAMPLE_RATE, np.int16), np.zeros(1, np.int16)],
    ids=["5 s", "one sample"],
)
def test_a_recording_without_speech_has_no_emotion(service: Running, pcm: Pcm) -> None:
    answer = classified(service, encoded(pcm))
    assert answer["emotion"] is None
    assert answer["probabilities"] is None
    assert answer["windows"] == []
    assert answer["duration_s"] == len(pcm) / SAMPLE_RATE


def test_a_file_that_is_cut_off_is_refused(service: Running) -> None:
    half = encoded(SPOKEN)[: 44 + len(SPOKEN)]  # of 2 bytes a sample
    got = f"{len(SPOKEN)} of {2 * len(SPOKEN)} bytes of audio"
    refused(post(service, half), 400, got, "a file that is not cut off")


def test_a_file_without_a_type_is_identified_by_its_content(service: Running) -> None:
    with service.client() as client:
        files = {"file": ("recording", encoded(SPOKEN), "application/octet-stream")}
        assert client.post("/classify", files=files).status_code == 200


# Requests that are refused.


@pytest.mark.parametrize(
    "data",
    [
        b"no sound at all" * 100,
        b"RIFF\xff\xff\x00\x00WAVE" + b"but then a letter to the editor " * 100,
        b"RIFF\xff\xff\x00\x00WAVE" + bytes(range(256)) * 20,
        b"fLaC" + bytes(200),
        b"\x00",
    ],
    ids=["text", "RIFF, then text", "RIFF, then noise", "fLaC, then nothing", "one byte"],
)
def test_a_file_that_is_not_audio_is_refused(service: Running, data: bytes) -> None:
    refused(post(service, data), 400, "unreadable audio", "WAV, FLAC, OGG, MP3")


def test_an_empty_file_is_refused(service: Running) -> None:
    refused(post(service, b""), 400, "got 0 bytes, expected a recording")


def test_a_file_without_samples_is_refused(service: Running) -> None:
    refused(post(service, encoded(np.zeros(0, np.int16))), 400, "got 0 samples")


def test_three_channels_are_refused(service: Running) -> None:
    data = encoded(np.zeros((8000, 3), np.int16))
    refused(post(service, data), 400, "got 3 channels, expected 1 or 2")


@pytest.mark.parametrize("rate", [96_000, 4_000])
def test_a_rate_out_of_bounds_is_refused(service: Running, rate: int) -> None:
    data = encoded(np.zeros(rate, np.int16), rate)
    refused(post(service, data), 400, f"got {rate} Hz", "expected 8000 to 48000 Hz")


@pytest.mark.parametrize("channel", ["2", "-1", "left", "0,1"])
def test_an_unknown_channel_is_refused(service: Running, channel: str) -> None:
    data = encoded(ANGRY[:8000])
    refused(post(service, data, channel=channel), 400, f"channel {channel!r}", "'0', '1' or 'mix'")


def test_channel_1_of_a_mono_file_is_refused(service: Running) -> None:
    refused(post(service, encoded(SPOKEN), channel="1"), 400, "channel 1 of 1", "one that is there")


@pytest.mark.parametrize("type", ["text/html", "image/png", "application/json"])
def test_a_file_of_another_type_is_refused(service: Running, type: str) -> None:
    refused(post(service, encoded(SPOKEN), type), 415, type, "an audio file")


@pytest.mark.parametrize("type", ["audio/wav", "application/json", None])
def test_a_body_that_is_not_a_form_is_refused(service: Running, type: str | None) -> None:
    headers = {"content-type": type} if type else {}
    with service.client() as client:
        response = client.post("/classify", content=encoded(SPOKEN), headers=headers)
    refused(response, 415, type or "nothing", "multipart/form-data with `file`")


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n', "got file None"),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n1\r\n--b--\r\n', "got file '"),
        (b"no form at all", ""),
        (b"", ""),
    ],
    ids=["no file", "a field called file", "no form", "nothing"],
)
def test_a_form_without_a_file_is_refused(service: Running, body: bytes, got: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    with service.client() as client:
        refused(client.post("/classify", content=body, headers=headers), 400, got)


def test_a_declared_size_too_large_is_refused_before_the_body_is_read(narrow: Running) -> None:
    with socket.create_connection(narrow.address.split(":"), timeout=ENOUGH_S) as client:  # type: ignore[arg-type]
        client.sendall(
            b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["detail"] == (
        f"got 1000000000 bytes, expected at most {MOST_BYTES} (classify_max_bytes)"
    )


def test_chunks_too_large_in_total_are_refused_while_they_arrive(narrow: Running) -> None:
    """No size is declared, and the upload would not end by itself."""
    chunk = b"%x\r\n%s\r\n" % (10_000, b"x" * 10_000)
    sent = 0
    with socket.create_connection(narrow.address.split(":"), timeout=ENOUGH_S) as client:  # type: ignore[arg-type]
        client.sendall(
            b"POST /classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        client.sendall(b"%x\r\n%s\r\n" % (len(head), head))
        while not select.select([client], [], [], 0.01)[0]:
            client.sendall(chunk)
            sent += len(chunk)
            assert sent < 100 * MOST_BYTES, "the upload is not refused"
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert f"expected at most {MOST_BYTES} (classify_max_bytes)".encode() in answer


def test_a_file_one_byte_too_large_is_refused(narrow: Running) -> None:
    data = encoded(SPOKEN)[:144_000] + bytes(MOST_BYTES - 144_000)
    assert post(narrow, data).status_code == 200
    refused(post(narrow, data + b"x"), 413, f"got {MOST_BYTES + 1} bytes", f"at most {MOST_BYTES}")


def test_too_long_is_refused(narrow: Running) -> None:
    exact = encoded(np.zeros(MOST_S * SAMPLE_RATE, np.int16), format="FLAC")
    assert classified(narrow, exact)["duration_s"] == MOST_S
    longer = encoded(np.zeros(MOST_S * SAMPLE_RATE + 1, np.int16), format="FLAC")
    refused(post(narrow, longer), 413, f"more than {MOST_S} s", f"at most {MOST_S} s")


def test_a_header_that_declares_hours_costs_no_memory(narrow: Running) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(8000)
        wav.writeframes(SPOKEN.tobytes())
    data = bytearray(file.getvalue())
    data[40:44] = (0x7FFF_FFF0).to_bytes(4, "little")
    answer = classified(narrow, bytes(data))
    assert answer["duration_s"] == len(SPOKEN) / SAMPLE_RATE


def test_an_upload_that_never_ends_is_refused_after_a_time(service: Running) -> None:
    with (
        service.limits(upload_within_s=0.3),
        socket.create_connection(service.address.split(":"), timeout=ENOUGH_S) as client,  # type: ignore[arg-type]
    ):
        client.sendall(
            b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert b"got 5 bytes, expected all of them within 0.3 s" in answer


def test_more_uploads_at_once_than_the_limit_are_refused(service: Running) -> None:
    waiting = [
        socket.create_connection(service.address.split(":"), timeout=ENOUGH_S)  # type: ignore[arg-type]
        for _ in range(16)
    ]
    try:
        for client in waiting:
            client.sendall(
                b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
            )
        assert service.get("/healthz").status_code == 200  # by now it has accepted them all
        refused(post(service, encoded(SPOKEN)), 503, "one recording more", "fewer at once")
    finally:
        for client in waiting:
            client.close()
    assert service.get("/healthz").status_code == 200
    assert post(service, encoded(SPOKEN)).status_code == 200


def test_recordings_are_refused_before_the_model_is_warm(cold: Running) -> None:
    refused(post(cold, encoded(SPOKEN)), 503, "a request at start-up", "/readyz first")


# Live calls meanwhile.


def test_a_long_recording_delays_neither_requests_nor_calls(service: Running) -> None:
    alone = call(service, "alone")
    long = encoded(np.tile(ANGRY[:, 0], 10)[: 8 * 60 * SAMPLE_RATE], format="FLAC")
    slowest_s = 0.0
    calls = 0
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(classified, service, long, "audio/flac")
        while not answer.done():
            response = service.get("/healthz")
            assert response.status_code == 200
            slowest_s = max(slowest_s, response.elapsed.total_seconds())
            beside = call(service, f"beside-{calls}")
            # The hop grows a little under pressure; all speech is in windows all the same.
            assert len(readings(alone)) - 1 <= len(readings(beside)) <= len(readings(alone))
            assert beside[-1]["summary"]["speech_s"] == alone[-1]["summary"]["speech_s"]
            assert beside[-1]["summary"]["dropped"] == 0
            calls += 1
    assert calls > 1, "the recording was over too soon to be in the way"
    assert slowest_s < 2
    assert answer.result()["duration_s"] == 480
    assert len(answer.result()["windows"]) > 200
