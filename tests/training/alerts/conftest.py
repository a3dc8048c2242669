from collections import Counter
from dataclasses import replace

import pytest

from model.labels import ALERTED_EMOTIONS, EMOTIONS, Emotion
from tests.training.alerts.recordings import recorded
from tests.training.alerts.rules import CHOSEN
from training.alerts.callers import HELD_OUT_SETS, ExcludedSpeaker, SimulatedCaller
from training.alerts.matching import MatchedAlerts
from training.alerts.performance import (
    AlertParameters,
    AlertPerformance,
    MatchedCall,
    alert_performance,
)
from training.alerts.playing import CallsSummary
from training.alerts.thresholds import EmotionTradeoff, Tradeoff, TradeoffConfig
from training.data.manifest import Utterance


@pytest.fixture(scope="session")
def three_speakers(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Ada has every emotion; Ben too little anger and no sadness; Cyd too little neutral speech."""
    anger, happiness, neutral = Emotion.ANGER, Emotion.HAPPINESS, Emotion.NEUTRAL
    folder = tmp_path_factory.mktemp("stage")
    made = [recorded(folder, "ada", e, take, 1.7) for e in EMOTIONS for take in range(5)]
    made += [recorded(folder, "ben", e, take, 1.7) for e in (happiness, neutral) for take in (0, 1)]
    made += [recorded(folder, "ben", neutral, take, 1.7) for take in (2, 3)]
    made += [recorded(folder, "ben", anger, 0, 1.7)]
    made += [recorded(folder, "cyd", neutral, take, 1.7) for take in (0, 1)]
    return made


@pytest.fixture(scope="session")
def ada(three_speakers: list[Utterance]) -> SimulatedCaller:
    return SimulatedCaller("stage", "ada", tuple(u for u in three_speakers if u.speaker == "ada"))


@pytest.fixture(scope="session")
def ben(three_speakers: list[Utterance]) -> SimulatedCaller:
    return SimulatedCaller("stage", "ben", tuple(u for u in three_speakers if u.speaker == "ben"))


def point(fire_at: float, caught: int, false: int) -> AlertPerformance:
    alerts = MatchedAlerts(
        10, (3.0,) * caught, 4, 1, caught + false, Counter({Emotion.SADNESS: false})
    )
    silent = MatchedAlerts(0, (), 0, 0, 0, Counter())
    calls = [MatchedCall("a", 1.0, alerts), MatchedCall("b", 1.0, silent)]
    return alert_performance(replace(CHOSEN, fire_at=fire_at), calls, draws=100)


@pytest.fixture
def tradeoff() -> Tradeoff:
    curve = [point(0.3, 9, 30), point(0.5, 6, 3), point(0.9, 1, 0)]
    summary = CallsSummary(
        speakers={"stage": 2},
        excluded=[ExcludedSpeaker("stage", "cyd", "no recordings")],
        missing={"stage/b": [Emotion.HAPPINESS]},
        calls=8,
        hours=2.0,
        utterances=dict.fromkeys(EMOTIONS, 70),
        distinct=dict.fromkeys(EMOTIONS, 7),
    )
    found = EmotionTradeoff(
        chosen=CHOSEN,
        curve=dict.fromkeys(HELD_OUT_SETS, curve),
        at_chosen=dict.fromkeys(HELD_OUT_SETS, curve[1]),
        at_present=dict.fromkeys(HELD_OUT_SETS, point(0.62, 4, 1)),
        corpora=dict.fromkeys(HELD_OUT_SETS, {"stage": curve[1]}),
        others=[replace(curve[1], rule=AlertParameters(0.65, 0.48, 1.0, 1.5))],
    )
    return Tradeoff(
        model="kanjo-tiny",
        version="1.2.3",
        config=TradeoffConfig(hold_s=2.5, smooth_s=3.0),
        calls=dict.fromkeys(HELD_OUT_SETS, summary),
        emotions=dict.fromkeys(ALERTED_EMOTIONS, found),
    )
