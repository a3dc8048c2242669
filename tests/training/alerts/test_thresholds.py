import json
import math
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from model import SHIPPED
from model.artifact import Thresholds, load, rewrite
from model.audio import Pcm
from model.labels import ALERTED_EMOTIONS, EMOTIONS, Emotion
from service.replay.simulation import CallSimulator, TimedReading
from tests.training.alerts.recordings import recorded
from tests.training.alerts.rules import CHOSEN, call
from training.alerts.callers import CallsError, held_out_callers
from training.alerts.matching import match_alerts
from training.alerts.performance import (
    AlertParameters,
    AlertPerformance,
    MatchedCall,
    alert_performance,
)
from training.alerts.simulated_calls import CallsConfig, make_calls
from training.alerts.thresholds import (
    FIRE_AT,
    Tradeoff,
    TradeoffConfig,
    TradeoffError,
    best,
    choose,
    evaluate,
)
from training.data.manifest import Utterance, folders_of, read_corpora
from training.metrics import Estimate
from training.pages import without_nan

ANGER, HAPPINESS, SADNESS, NEUTRAL = EMOTIONS
CONFIG = TradeoffConfig(hold_s=2.5, smooth_s=3.0, calls=CallsConfig(minutes=1.5), draws=50)


def plain(performance: AlertPerformance) -> dict[str, Any]:
    """Returns comparable values: None in place of NaN."""
    values: dict[str, Any] = without_nan(asdict(performance))
    return values


# ---- the choice --------------------------------------------------------------------------------


def point(fire_at: float, caught: int, false: int, episodes: int = 10) -> AlertPerformance:
    calls = [call("a", 1.0, episodes, (1.0,) * caught, false)]
    return alert_performance(replace(CHOSEN, fire_at=fire_at), calls, draws=0)


def test_the_threshold_that_catches_most_within_the_limit_is_chosen() -> None:
    curve = [point(0.3, 9, 5), point(0.5, 7, 2), point(0.7, 4, 0)]
    assert choose(curve, ANGER, 5.0) is curve[0]
    assert choose(curve, ANGER, 2.0) is curve[1]
    assert choose(curve, ANGER, 1.9) is curve[2]


def test_of_equals_fewer_false_alerts_win_and_then_the_higher_threshold() -> None:
    curve = [point(0.4, 7, 2), point(0.5, 7, 1), point(0.6, 7, 1), point(0.7, 6, 0)]
    assert choose(curve, ANGER, 2.0) is curve[2]


def test_a_limit_that_no_threshold_keeps_is_refused() -> None:
    curve = [point(0.4, 7, 8), point(0.9, 3, 3)]
    assert best(curve, 2.0) is None
    message = "anger: found 3.0 false alerts an hour or more at every threshold, expected 2 or"
    with pytest.raises(TradeoffError, match=message):
        choose(curve, ANGER, 2.0)


def test_calls_without_an_episode_are_refused() -> None:
    with pytest.raises(TradeoffError, match="found no episode of happiness"):
        choose([point(0.5, 0, 0, episodes=0)], HAPPINESS, 2.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"clear_ratio": 1.5}, "got clear_ratio 1.5, expected 0 to 1"),
        ({"false_per_hour": {ANGER: 2.0}}, "limits of false alerts for anger, expected them for"),
        (
            {"false_per_hour": {ANGER: 2.0, HAPPINESS: math.nan}},
            "got at most nan false alerts of happiness an hour, expected 0 or more",
        ),
    ],
)
def test_impossible_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TradeoffError, match=message):
        replace(CONFIG, **wrong)


# ---- all of it, with the service itself ---------------------------------------------------------


class Counted(CallSimulator):
    """Counts the calls that are played."""

    played = 0

    def play(self, call_id: str, pcm: Pcm) -> list[TimedReading]:
        self.played += 1
        return super().play(call_id, pcm)


def simulator_of(model: Path, folder: Path) -> Counted:
    return Counted(
        model,
        folder / "kept",
        device="cpu",
        first_s=1.5,
        hop_s=1.0,
        release_s=4.0,
        speech_check=False,  # the voices are made, and no speech to it
    )


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = tmp_path_factory.mktemp("stage")
    return [
        recorded(folder, speaker, emotion, take, 1.7)
        for speaker in ("ada", "ben", "cyd")
        for emotion in EMOTIONS
        for take in range(4)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped model, in whose training these voices were certainly not."""
    path = tmp_path_factory.mktemp("model") / "copy.pt"
    shutil.copy(SHIPPED, path)
    meta = load(path).meta
    trained_on = {"stage": {"valid_speakers": ["ada", "eve"], "test_speakers": ["ben", "cyd"]}}
    rewrite(path, replace(meta, training=meta.training | {"trained_on": trained_on}))
    return path


@pytest.fixture(scope="module")
def simulator(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Counted:
    return simulator_of(model, tmp_path_factory.mktemp("readings"))


# So high that some threshold is within the limit, whatever these voices sound like.
GENEROUS = replace(CONFIG, false_per_hour=dict.fromkeys(ALERTED_EMOTIONS, 1000.0))


@pytest.fixture(scope="module")
def found(utterances: list[Utterance], simulator: Counted) -> Tradeoff:
    return evaluate(utterances, simulator, GENEROUS)


def test_every_call_is_played_once(found: Tradeoff, simulator: Counted) -> None:
    assert found.calls["valid"].calls == 4
    assert found.calls["test"].calls == 8
    assert simulator.played == 12
    assert found.calls["test"].hours == pytest.approx(8 * 1.5 / 60)
    assert found.calls["test"].speakers == {"stage": 2}
    assert [one.speaker for one in found.calls["valid"].excluded] == ["eve"]
    assert found.calls["valid"].distinct[NEUTRAL] == 4 < found.calls["valid"].utterances[NEUTRAL]


def test_thresholds_are_chosen_on_the_validation_speakers(found: Tradeoff) -> None:
    for emotion in ALERTED_EMOTIONS:
        one = found.emotions[emotion]
        assert [p.rule.fire_at for p in one.curve["valid"]] == list(FIRE_AT)
        assert one.chosen == choose(one.curve["valid"], emotion, 1000.0).rule
        assert found.thresholds[emotion] == Thresholds(one.chosen.fire_at, one.chosen.clear_at)
        assert one.chosen.clear_at == pytest.approx(0.75 * one.chosen.fire_at, abs=1e-4)
        for name in ("valid", "test"):
            (at_chosen,) = (p for p in one.curve[name] if p.rule == one.chosen)
            assert plain(one.at_chosen[name]) == plain(at_chosen)
            assert list(one.corpora[name]) == ["stage"]
            assert plain(one.corpora[name]["stage"]) == plain(at_chosen)


def test_figures_are_those_of_the_calls_played_one_by_one(
    found: Tradeoff, utterances: list[Utterance], simulator: Counted
) -> None:
    trained_on = simulator.meta.training["trained_on"]
    callers, _ = held_out_callers(utterances, trained_on, "test")
    calls: dict[Emotion, list[MatchedCall]] = {e: [] for e in ALERTED_EMOTIONS}
    now = simulator.meta.thresholds
    for one in make_calls(callers, CONFIG.calls, simulator.meta.gate):
        readings = CallSimulator.play(simulator, one.call_id, one.pcm)
        for emotion, fired_s in simulator.fired(readings, now, 2.5, 3.0).items():
            matched = match_alerts(one.episodes, emotion, fired_s)
            calls[emotion].append(MatchedCall(one.speaker, one.duration_s / 3600, matched))
    for emotion in ALERTED_EMOTIONS:
        rule = AlertParameters(now[emotion].fire_at, now[emotion].clear_at, 2.5, 3.0)
        expected = alert_performance(rule, calls[emotion], 50)
        assert plain(found.emotions[emotion].at_present["test"]) == plain(expected)


def test_below_every_probability_each_call_has_one_alert(
    utterances: list[Utterance], simulator: Counted
) -> None:
    found = evaluate(utterances, simulator, GENEROUS, fire_at=(0.0, 1.0))
    lowest, highest = found.emotions[ANGER].curve["test"]
    assert (lowest.alerts, highest.alerts) == (8, 0)
    assert highest.caught == Estimate(0.0, 0.0, 0.0)
    assert highest.false_per_hour == Estimate(0.0, 0.0, 0.0)


@pytest.mark.campaign
def test_an_interrupted_evaluation_ends_with_the_same(
    found: Tradeoff, utterances: list[Utterance], model: Path, tmp_path: Path
) -> None:
    class Interrupted(Counted):
        def play(self, call_id: str, pcm: Pcm) -> list[TimedReading]:
            if self.played == 7:
                raise KeyboardInterrupt
            return super().play(call_id, pcm)

    broken = Interrupted(
        model, tmp_path / "kept", device="cpu", first_s=1.5, hop_s=1.0, release_s=4.0
    )
    with pytest.raises(KeyboardInterrupt):
        evaluate(utterances, broken, GENEROUS)
    assert len(list((tmp_path / "kept").iterdir())) == 7
    assert (
        evaluate(utterances, simulator_of(model, tmp_path), GENEROUS).as_dict() == found.as_dict()
    )


def test_results_are_kept_in_the_artifact_and_as_json(
    found: Tradeoff, model: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model.pt"
    shutil.copy(model, copy)
    meta = load(copy).meta
    rewrite(
        copy,
        replace(
            meta,
            thresholds=meta.thresholds | found.thresholds,
            training=meta.training | {"alerts": found.provenance},
        ),
    )
    again = load(copy).meta
    assert again.thresholds == found.thresholds
    assert again.training["alerts"]["config"]["hold_s"] == 2.5
    chosen = found.emotions[ANGER].at_chosen["test"]
    assert again.training["alerts"]["test"]["anger"]["alerts"] == chosen.alerts
    read = json.loads(json.dumps(found.as_dict()))
    assert read["emotions"]["anger"]["at_chosen"]["test"]["alerts"] == chosen.alerts


def test_a_model_without_a_record_of_its_speakers_is_refused(
    utterances: list[Utterance], model: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model.pt"
    shutil.copy(model, copy)
    rewrite(copy, replace(load(copy).meta, training={}))
    with pytest.raises(CallsError, match="found 0 valid speakers"):
        evaluate(utterances, simulator_of(copy, tmp_path), GENEROUS)


@pytest.mark.corpora
@pytest.mark.campaign
def test_the_shipped_model_s_alerts_are_evaluated_on_a_real_corpus(
    tmp_path: Path,
) -> None:
    """One speaker of each part makes calls; the other speakers are named as left out."""
    simulator = simulator_of(SHIPPED, tmp_path)
    parts = simulator.meta.training["trained_on"]["emodb"]
    callers = (parts["valid_speakers"][0], parts["test_speakers"][0])
    own = [
        u
        for u in read_corpora(folders_of(os.environ["KANJO_CORPORA"]))
        if u.corpus == "emodb" and u.speaker in callers
    ]
    config = replace(GENEROUS, calls=CallsConfig(minutes=1.2))
    found = evaluate(own, simulator, config, holds_s=())  # quicker
    held = simulator.meta.training["trained_on"]
    for name in ("valid", "test"):
        summary = found.calls[name]
        assert summary.calls == 4 * sum(summary.speakers.values()) > 0
        everybody = sum(len(facts[f"{name}_speakers"]) for facts in held.values())
        assert len(summary.excluded) + sum(summary.speakers.values()) == everybody
        for one in found.emotions.values():
            assert one.at_chosen[name].episodes > 0
            for p in one.curve[name]:
                assert p.hours == pytest.approx(summary.hours)
                assert p.alerts >= sum(p.false.values())
