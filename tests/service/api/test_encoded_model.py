"""The whole service with a model that has its encoder inside."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.audio import SAMPLE_RATE, mulaw_decode, mulaw_encode
from service.classification import Classifier
from service.replay.simulation import CallSimulator
from tests.encoded_model import export_tiny
from tests.service.api.conftest import SPOKEN, Running, call, ready, running
from tests.service.calls.cutting import monologue


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def encoded(path: Path) -> Iterator[Running]:
    with running(model=path) as server:
        yield ready(server)


# A caller who pauses, and then speaks for longer than a window and than an utterance.
HEARD = mulaw_decode(mulaw_encode(np.concatenate((SPOKEN, monologue()[: 14 * SAMPLE_RATE]))))


def wav() -> bytes:
    into = io.BytesIO()
    soundfile.write(into, HEARD, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return into.getvalue()


def test_a_call_a_recording_a_simulation_and_the_command_give_the_same(
    encoded: Running, path: Path, tmp_path: Path
) -> None:
    live = [message for message in call(encoded, "live", HEARD) if message["type"] == "reading"]
    with encoded.client() as client:
        response = client.post("/classify", files={"file": ("call.wav", wav(), "audio/wav")})
    uploaded = response.json()
    command = Classifier.load(path, device="cpu").classify(io.BytesIO(wav())).model_dump()
    both = np.stack((HEARD, np.zeros_like(HEARD)), axis=1)
    simulated = CallSimulator(path, tmp_path, device="cpu", release_s=4.0).play("live", both)
    assert len(live) > 12
    times = [(reading["start_s"], reading["end_s"]) for reading in live]
    assert any(end - start > 6.5 for start, end in times)
    answers = [reading["probabilities"] for reading in live]
    assert max(np.ptp([answer["anger"] for answer in answers]), 0) > 1e-3
    for other in (
        [(w["start_s"], w["end_s"], w["probabilities"]) for w in uploaded["windows"]],
        [(w["start_s"], w["end_s"], w["probabilities"]) for w in command["windows"]],
        [(t.reading.start_s, t.reading.end_s, t.reading.probabilities) for t in simulated],
    ):
        assert [(start, end) for start, end, _ in other] == times
        for (_, _, found), expected in zip(other, answers, strict=True):
            assert dict(found) == pytest.approx(expected, abs=2e-3)


def test_health_names_the_model(encoded: Running) -> None:
    assert encoded.get("/healthz").json()["model"]["name"] == "tiny"
