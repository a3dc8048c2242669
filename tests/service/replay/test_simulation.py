import asyncio
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model import SHIPPED
from model.artifact import ArtifactError, Thresholds
from model.audio import Pcm, mulaw_decode, mulaw_encode
from model.labels import Emotion
from service.alerts.policy import AlertRule
from service.calls.context import CallContext
from service.calls.registry import CallRegistry
from service.classification import cut
from service.events import AlertState, Audio, CallStarted, Reading, Track, Transition
from service.metrics import Metrics
from service.replay import simulation as module
from service.replay.simulation import FRAME_SAMPLES, CallSimulator
from service.scoring.batcher import Batcher
from service.scoring.torch_scorer import TorchScorer
from service.store.store import Store
from tests.paths import SAMPLES

FIRST_S, HOP_S, RELEASE_S, HOLD_S, SMOOTH_S = 1.5, 1.0, 4.0, 2.5, 3.0
FRAME_S = 0.02
ANGER, HAPPINESS = Emotion.ANGER, Emotion.HAPPINESS


@cache
def sample(name: str = "sounds-angry") -> Pcm:
    pcm, _ = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
    return pcm


def rehearsal(keep_in: Path, hop_s: float = HOP_S) -> CallSimulator:
    return CallSimulator(
        SHIPPED, keep_in, device="cpu", first_s=FIRST_S, hop_s=hop_s, release_s=RELEASE_S
    )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> CallSimulator:
    return rehearsal(tmp_path_factory.mktemp("kept"))


def at(fire_at: float, clear_at: float | None = None) -> dict[Emotion, Thresholds]:
    thresholds = Thresholds(fire_at, fire_at if clear_at is None else clear_at)
    return dict.fromkeys((ANGER, HAPPINESS), thresholds)


@pytest.mark.parametrize("name", ["neutral", "sounds-angry", "sounds-angry-once"])
def test_readings_are_those_of_the_caller_s_track_as_a_recording(
    stage: CallSimulator, name: str
) -> None:
    """In 20 ms frames over mu-law here, a second at a time there."""
    line = mulaw_decode(mulaw_encode(np.ascontiguousarray(sample(name)[:, 0])))
    made = cut(line, stage.meta, FIRST_S, HOP_S)
    scorer = TorchScorer.load(SHIPPED, "cpu", threads=1)
    posteriors = scorer.score([window.model_input for window in made.windows])
    heard = stage.play(name, sample(name))
    assert [(h.reading.start_s, h.reading.end_s, h.reading.heard_s) for h in heard] == [
        (w.start_s, w.end_s, w.heard_s) for w in made.windows
    ]
    assert [h.reading.probabilities for h in heard] == [p.emotion for p in posteriors]
    assert [h.reading.number for h in heard] == list(range(1, len(heard) + 1))
    assert len(heard) > 10


def test_a_reading_is_told_when_its_audio_has_come_or_the_pause_is_certain(
    stage: CallSimulator,
) -> None:
    heard = stage.play("call", sample())
    late_s = [h.told_s - h.reading.end_s for h in heard]
    assert min(late_s) >= -1e-9  # sums carry rounding
    assert max(late_s) <= stage.meta.gate.close_s + FRAME_S + 0.01
    assert min(late_s) <= FRAME_S  # in the midst of speech
    assert max(late_s) >= stage.meta.gate.close_s - 0.01  # at its end
    told_s = [h.told_s for h in heard]
    assert told_s == sorted(told_s)


def test_the_agent_s_voice_changes_nothing(stage: CallSimulator) -> None:
    quiet = sample("neutral").copy()
    quiet[:, 1] = 0
    angry = quiet.copy()
    voice = np.resize(sample("sounds-angry")[:, 0], len(angry))
    angry[:, 1] = voice
    assert stage.play("call", angry) == stage.play("call", quiet)
    # On the caller's track it would have been heard.
    swapped = np.ascontiguousarray(angry[:, ::-1])
    assert len(stage.play("call", swapped)) > 10
    assert stage.play("call", swapped) != stage.play("call", angry)


async def test_alerts_are_those_of_a_live_call(stage: CallSimulator) -> None:
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
    hearing = CallContext(stage.meta, batcher, store, metrics, rules, True, FIRST_S, HOP_S)
    said: list[Reading | Transition] = []
    part = CallRegistry(hearing, 1).open(
        CallStarted("call", "native", (Track.CALLER, Track.AGENT), 8000), said.append
    )
    line = mulaw_decode(mulaw_encode(np.ascontiguousarray(sample()[:, 0])))
    running = [asyncio.create_task(run()) for run in (store.run, batcher.run, part.run)]
    for start in range(0, len(line), FRAME_SAMPLES):
        await part.receive(Audio(Track.CALLER, line[start : start + FRAME_SAMPLES]))
    await part.end("over")
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await store.close()

    heard = stage.play("call", sample())
    live = [one for one in said if isinstance(one, Reading)]
    for mine, other in zip((h.reading for h in heard), live, strict=True):
        assert (mine.number, mine.start_s, mine.end_s) == (other.number, other.start_s, other.end_s)
        assert mine.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    ended_s = {h.told_s: h.reading.end_s for h in heard}
    fired = stage.fired(heard, thresholds, HOLD_S, SMOOTH_S)
    told = [(e, ended_s[told_s]) for e in fired for told_s in fired[e]]
    firing = [s for s in said if isinstance(s, Transition) and s.state is AlertState.FIRING]
    assert sorted(told) == sorted((step.emotion, step.at_s) for step in firing)
    assert firing


def test_at_a_threshold_of_nothing_one_alert_fires_as_soon_as_enough_was_said(
    stage: CallSimulator,
) -> None:
    heard = stage.play("call", sample())
    said_s = np.cumsum([h.reading.heard_s for h in heard])
    first = heard[int(np.argmax(said_s >= HOLD_S - 1e-9))]
    assert stage.fired(heard, at(0.0), HOLD_S, SMOOTH_S) == {
        ANGER: [first.told_s],
        HAPPINESS: [first.told_s],
    }


def test_where_nothing_reaches_the_threshold_nothing_fires(stage: CallSimulator) -> None:
    heard = stage.play("call", sample())
    peak = max(h.reading.probabilities[ANGER] for h in heard)
    assert stage.fired(heard, at(min(1.0, peak + 1e-3)), 0.0, 0.0)[ANGER] == []
    assert stage.fired(heard, at(peak), 0.0, 0.0)[ANGER]


def test_of_a_call_without_speech_there_is_nothing_to_tell(stage: CallSimulator) -> None:
    heard = stage.play("silence", np.zeros((8000, 2), np.int16))
    assert heard == []
    assert stage.fired(heard, at(0.0), HOLD_S, SMOOTH_S) == {ANGER: [], HAPPINESS: []}


def test_who_was_interrupted_goes_on_with_what_was_kept(tmp_path: Path) -> None:
    keep_in = tmp_path / "kept"
    stage = rehearsal(keep_in)
    heard = stage.play("call", sample())
    (path,) = keep_in.iterdir()
    kept = module._TOLD.validate_json(path.read_bytes())
    assert kept == heard  # bit for bit
    assert all(isinstance(emotion, Emotion) for emotion in kept[0].reading.probabilities)
    path.write_bytes(module._TOLD.dump_json(kept[:1]))  # to see where it comes from
    assert rehearsal(keep_in).play("call", sample()) == heard[:1]
    assert rehearsal(keep_in).play("other", sample()) != heard[:1]
    assert rehearsal(keep_in, hop_s=0.5).play("call", sample()) != heard[:1]
    assert len(list(keep_in.iterdir())) == 3
    (keep_in / "notes.txt").touch()
    stage.forget()
    assert len(list(keep_in.iterdir())) == 3  # others' calls, and what was never its own
    assert not path.exists()
    assert stage.play("call", sample()) == heard


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notes.pt"
    path.write_text("notes")
    with pytest.raises(ArtifactError, match="expected a whole TorchScript file"):
        CallSimulator(path, tmp_path, first_s=FIRST_S, hop_s=HOP_S, release_s=RELEASE_S)
