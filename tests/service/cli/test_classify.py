import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import soundfile

from model.labels import EMOTIONS
from service.classification import Classification
from tests.service.cli.command import ANGRY, free_port, invoke


def test_a_sample_call_sounds_here_as_at_a_service(service: str) -> None:
    here = invoke("classify", ANGRY, "--channel", "0", "--json")
    there = invoke("classify", ANGRY, "--channel", "0", "--json", "--url", service)
    assert (here.exit_code, there.exit_code) == (0, 0), here.output + there.output
    one, other = map(Classification.model_validate_json, (here.stdout, there.stdout))
    assert one.probabilities
    assert other.probabilities
    assert one.emotion == other.emotion
    assert [one.probabilities[e] for e in EMOTIONS] == pytest.approx(
        [other.probabilities[e] for e in EMOTIONS], abs=1e-4
    )
    assert [(w.start_s, w.end_s) for w in one.windows] == [
        (w.start_s, w.end_s) for w in other.windows
    ]
    assert one.speech_s > 20
    assert one.model == other.model


@pytest.mark.parametrize("at_service", [False, True])
def test_each_channel_is_another_voice(at_service: bool, service: str) -> None:
    url = ["--url", service] if at_service else []
    speech_s = {}
    for channel in ("0", "1", "mix"):
        result = invoke("classify", ANGRY, "--channel", channel, "--json", *url)
        speech_s[channel] = json.loads(result.stdout)["speech_s"]
    assert speech_s["1"] < speech_s["0"] < speech_s["mix"]


def test_classify_shows_a_table_and_a_ribbon() -> None:
    result = invoke("classify", ANGRY, "--channel", "0")
    assert result.exit_code == 0, result.output
    assert "emotion   sounds " in result.output
    assert "duration  " in result.output
    assert "0:00" in result.output
    assert "A angry   H happy   · neither" in result.output


def test_a_recording_in_which_nobody_speaks_has_no_emotion(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(40_000, np.int16), 8000)
    result = invoke("classify", tmp_path / "quiet.wav", "--json")
    answer = json.loads(result.stdout)
    assert (answer["emotion"], answer["probabilities"], answer["style"]) == (None, None, None)
    shown = invoke("classify", tmp_path / "quiet.wav")
    assert "no speech found" in shown.output


@pytest.mark.parametrize("at_service", [False, True])
@pytest.mark.parametrize(
    ("name", "channel", "sentence"),
    [
        ("absent.wav", "mix", "No such file or directory"),
        ("text.wav", "mix", "got unreadable audio"),
        ("tone.wav", "1", "got channel 1 of 1"),
    ],
)
def test_what_cannot_be_classified_is_a_sentence(
    at_service: bool, name: str, channel: str, sentence: str, tone: Path, service: str
) -> None:
    (tone.parent / "text.wav").write_text("[red]no sound at all")
    url = ["--url", service] if at_service else []
    result = invoke("classify", tone.parent / name, "--channel", channel, *url)
    assert result.exit_code == 1
    assert result.stderr.startswith("kanjo: ")
    assert sentence in result.stderr


@contextmanager
def http_server(status: int, body: bytes) -> Iterator[str]:
    """A server that is no Kanjo service and gives every POST this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (502, b"bad gateway", "HTTP 502: bad gateway"),
        (500, b"", "HTTP 500: no reason given"),
        (200, b"<html>", "the answer is no classification: it: Invalid JSON"),
        (200, b'{"emotion": "bored"}', "the answer is no classification: emotion: Input should be"),
    ],
)
def test_an_answer_that_is_no_classification_is_a_sentence(
    tone: Path, status: int, body: bytes, sentence: str
) -> None:
    with http_server(status, body) as url:
        result = invoke("classify", tone, "--url", url)
    assert result.exit_code == 1
    assert result.stderr.startswith("kanjo: ")
    assert sentence in result.stderr


def test_classify_where_no_service_is_is_a_sentence(tone: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = invoke("classify", tone, "--url", url)
    assert result.exit_code == 1
    assert f"no service at {url}/classify: " in result.stderr
