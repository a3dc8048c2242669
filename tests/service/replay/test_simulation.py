import asyncio
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model import SHIPPED
from model.artifact import ArtifactError, Thresholds
from model.audio import FRAME_S, FRAME_SAMPLES, Pcm, mulaw_decode, mulaw_encode
from model.labels import Emotion
from service.alerts.policy import AlertRule
from service.calls.context import CallContext
from service.calls.registry import CallRegistry
from service.classification import cut
from service.events import AlertState, Audio, CallStarted, Reading, Track, Transition
from service.metrics import Metrics
from service.replay.simulation import CACHED_READINGS, CallSimulator
from service.scoring.batcher import Batcher
from service.scoring.torch_scorer import TorchScorer
from service.store.store import Store
from tests.paths import SAMPLES

FIRST_S, HOP_S, RELEASE_S, HOLD_S, SMOOTH_S = 1.5, 1.0, 4.0, 2.5, 3.0
ANGER, HAPPINESS = Emotion.ANGER, Emotion.HAPPINESS


@cache
def sample(name: str = "sounds-angry") -> Pcm:
    pcm, _ = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
    return pcm


def simulator_of_shipped(cache: Path, hop_s: float = HOP_S) -> CallSimulator:
    return CallSimulator(
        SHIPPED, cache, device="cpu", first_s=FIRST_S, hop_s=hop_s, release_s=RELEASE_S
    )


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> CallSimulator:
    return simulator_of_shipped(tmp_path_factory.mktemp("cache"))


def at(fire_at: float, clear_at: float | None = None) -> dict[Emotion, Thresholds]:
    thresholds = Thresholds(fire_at, fire_at if clear_at is None else clear_at)
    return dict.fromkeys((ANGER, HAPPINESS), thresholds)


@pytest.mark.parametrize("name", ["neutral", "sounds-angry", "sounds-angry-once"])
def test_readings_are_those_of_the_caller_s_track_as_a_recording(
    simulator: CallSimulator, name: str
) -> None:
    """In 20 ms frames over mu-law here, a second at a time there."""
    caller = mulaw_decode(mulaw_encode(np.ascontiguousarray(sample(name)[:, 0])))
    recording = cut(caller, simulator.meta, FIRST_S, HOP_S)
    scorer = TorchScorer.load(SHIPPED, "cpu", threads=1)
    posteriors = scorer.score([window.model_input for window in recording.windows])
    timed = simulator.play(name, sample(name))
    assert [(t.reading.start_s, t.reading.end_s, t.reading.heard_s) for t in timed] == [
        (w.start_s, w.end_s, w.heard_s) for w in recording.windows
    ]
    assert [t.reading.probabilities for t in timed] == [p.emotion for p in posteriors]
    assert [t.reading.number for t in timed] == list(range(1, len(timed) + 1))
    assert len(timed) > 10


def test_a_reading_is_available_when_its_audio_has_come_or_the_pause_is_certain(
    simulator: CallSimulator,
) -> None:
    timed = simulator.play("call", sample())
    late_s = [t.available_s - t.reading.end_s for t in timed]
    assert min(late_s) >= -1e-9  # sums carry rounding
    assert max(late_s) <= simulator.meta.gate.close_s + FRAME_S + 0.01
    assert min(late_s) <= FRAME_S  # in the midst of speech
    assert max(late_s) >= simulator.meta.gate.close_s - 0.01  # at its end
    available_s = [t.available_s for t in timed]
    assert available_s == sorted(available_s)


def test_the_agent_s_voice_changes_nothing(simulator: CallSimulator) -> None:
    quiet = sample("neutral").copy()
    quiet[:, 1] = 0
    angry = quiet.copy()
    voice = np.resize(sample("sounds-angry")[:, 0], len(angry))
    angry[:, 1] = voice
    assert simulator.play("call", angry) == simulator.play("call", quiet)
    # On the caller's track it changes the readings.
    swapped = np.ascontiguousarray(angry[:, ::-1])
    assert len(simulator.play("call", swapped)) > 10
    assert simulator.play("call", swapped) != simulator.play("call", angry)


async def test_alerts_are_those_of_a_live_call(simulator: CallSimulator) -> None:
    thresholds = {ANGER: Thresholds(0.4, 0.3), HAPPINESS: Thresholds(0.2, 0.15)}
    rules = [
        AlertRule(emotion, t.fire_at, t.clear_at, HOLD_S, RELEASE_S, SMOOTH_S)
        for emotion, t in thresholds.items()
    ]
    metrics, store = Metrics(), Store.connect(None, outbox_path=None, retention_s=3600)
    batcher = Batcher(
        TorchScorer.load(SHIPPED, "cpu", 1, batch_max=8),
        metrics,
        batch_max=8,
        wait_s=0,
        queue_max=10**6,
        max_age_s=600,
    )
    context = CallContext(simulator.meta, batcher, store, metrics, rules, True, FIRST_S, HOP_S)
    published: list[Reading | Transition] = []
    stream = CallRegistry(context, 1).open(
        CallStarted("call", "native", (Track.CALLER, Track.AGENT), 8000), published.append
    )
    caller = mulaw_decode(mulaw_encode(np.ascontiguousarray(sample()[:, 0])))
    running = [asyncio.create_task(run()) for run in (store.run, batcher.run, stream.run)]
    for start in range(0, len(caller), FRAME_SAMPLES):
        await stream.receive(Audio(Track.CALLER, caller[start : start + FRAME_SAMPLES]))
    await stream.end("over")
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await store.close()

    timed = simulator.play("call", sample())
    live = [one for one in published if isinstance(one, Reading)]
    for mine, other in zip((t.reading for t in timed), live, strict=True):
        assert (mine.number, mine.start_s, mine.end_s) == (other.number, other.start_s, other.end_s)
        assert mine.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    ended_s = {t.available_s: t.reading.end_s for t in timed}
    fired = simulator.fired(timed, thresholds, HOLD_S, SMOOTH_S)
    simulated = [(e, ended_s[available_s]) for e in fired for available_s in fired[e]]
    firing = [s for s in published if isinstance(s, Transition) and s.state is AlertState.FIRING]
    assert sorted(simulated) == sorted((step.emotion, step.at_s) for step in firing)
    assert firing


def test_at_a_threshold_of_nothing_one_alert_fires_after_enough_speech(
    simulator: CallSimulator,
) -> None:
    timed = simulator.play("call", sample())
    speech_s = np.cumsum([t.reading.heard_s for t in timed])
    first = timed[int(np.argmax(speech_s >= HOLD_S - 1e-9))]
    assert simulator.fired(timed, at(0.0), HOLD_S, SMOOTH_S) == {
        ANGER: [first.available_s],
        HAPPINESS: [first.available_s],
    }


def test_where_nothing_reaches_the_threshold_nothing_fires(simulator: CallSimulator) -> None:
    timed = simulator.play("call", sample())
    peak = max(t.reading.probabilities[ANGER] for t in timed)
    assert simulator.fired(timed, at(min(1.0, peak + 1e-3)), 0.0, 0.0)[ANGER] == []
    assert simulator.fired(timed, at(peak), 0.0, 0.0)[ANGER]


def test_a_call_without_speech_has_no_readings_and_no_alerts(simulator: CallSimulator) -> None:
    timed = simulator.play("silence", np.zeros((8000, 2), np.int16))
    assert timed == []
    assert simulator.fired(timed, at(0.0), HOLD_S, SMOOTH_S) == {ANGER: [], HAPPINESS: []}


def test_an_interrupted_evaluation_continues_from_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    simulator = simulator_of_shipped(folder)
    timed = simulator.play("call", sample())
    (path,) = folder.iterdir()
    cached = CACHED_READINGS.validate_json(path.read_bytes())
    assert cached == timed  # bit for bit
    assert all(isinstance(emotion, Emotion) for emotion in cached[0].reading.probabilities)
    path.write_bytes(CACHED_READINGS.dump_json(cached[:1]))  # to see where it comes from
    assert simulator_of_shipped(folder).play("call", sample()) == timed[:1]
    assert simulator_of_shipped(folder).play("other", sample()) != timed[:1]
    assert simulator_of_shipped(folder, hop_s=0.5).play("call", sample()) != timed[:1]
    assert len(list(folder.iterdir())) == 3
    (folder / "notes.txt").touch()
    simulator.clear_cache()
    assert len(list(folder.iterdir())) == 3  # other simulators' calls, and the file of others
    assert not path.exists()
    assert simulator.play("call", sample()) == timed


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.pt"
    path.write_text("notes")
    with pytest.raises(ArtifactError, match="expected a whole TorchScript file"):
        CallSimulator(path, tmp_path, first_s=FIRST_S, hop_s=HOP_S, release_s=RELEASE_S)
