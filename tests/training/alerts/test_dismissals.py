"""What other thresholds would have done to alerts that people judged."""

from collections.abc import Mapping, Sequence

from model.artifact import Thresholds
from model.labels import Emotion
from training.alerts.dismissals import JudgedAlert, JudgedCall, Outcome, Span, outcomes

ANGER = Emotion.ANGER


def replay(
    readings: Sequence[tuple[float, float]], thresholds: Mapping[Emotion, Thresholds]
) -> dict[Emotion, list[Span]]:
    """Fires for a second at each reading (time, probability) at or above the threshold."""
    fire_at = thresholds[ANGER].fire_at
    return {ANGER: [(at, at + 1) for at, probability in readings if probability >= fire_at]}


def test_each_threshold_keeps_some_real_alerts_and_leaves_some_false_ones() -> None:
    call = JudgedCall(
        readings=[(1.0, 0.9), (11.0, 0.6), (21.0, 0.7), (31.0, 0.5), (41.0, 0.95)],
        alerts=[
            JudgedAlert(ANGER, 0.0, 5.0, is_real=True),
            JudgedAlert(ANGER, 10.0, 15.0, is_real=False),
            JudgedAlert(ANGER, 20.0, 25.0, is_real=True),
            JudgedAlert(ANGER, 40.0, 45.0, is_real=None),
            JudgedAlert(Emotion.HAPPINESS, 0.0, 45.0, is_real=False),
        ],
    )
    rows = outcomes([call, call], ANGER, replay, (0.8, 0.4, 0.65))
    assert rows == [
        Outcome(Thresholds(0.4, 0.3), 4, 4, 2, 2, unjudged=4),
        Outcome(Thresholds(0.65, 0.4875), 4, 4, 2, 0, unjudged=2),
        Outcome(Thresholds(0.8, 0.6), 4, 2, 2, 0, unjudged=2),
    ]


def test_without_calls_there_is_nothing_to_count() -> None:
    assert {(row.real, row.false) for row in outcomes([], ANGER, replay)} == {(0, 0)}
