from dataclasses import astuple

import numpy as np

from model.labels import Emotion
from tests.training.alerts.rules import CHOSEN, call
from training.alerts.performance import alert_performance
from training.metrics import Estimate


def test_figures_are_sums_over_calls() -> None:
    made = alert_performance(
        CHOSEN,
        [
            call("a", 0.5, 2, (1.0, 5.0), 1),
            call("a", 0.5, 1, (3.0,)),
            call("b", 1.0, 1, (), 4),
        ],
        draws=200,
    )
    assert (made.speakers, made.hours, made.episodes, made.alerts) == (2, 2.0, 4, 8)
    assert made.caught.value == 3 / 4
    assert made.soon.value == 2 / 4
    assert made.delay_s == (2.0, 3.0, 4.0)
    assert made.false == {Emotion.NEUTRAL: 5}
    assert made.false_per_hour.value == 2.5
    assert made.precision.value == 3 / 8


def test_intervals_come_from_drawing_speakers() -> None:
    """Of two speakers either one, the other or both are drawn."""
    calls = [call("a", 1.0, 3, (1.0,) * 3), call("b", 1.0, 1, (), 4)]
    made = alert_performance(CHOSEN, calls, draws=500)
    assert made.caught == Estimate(0.75, 0.0, 1.0)
    assert made.false_per_hour == Estimate(2.0, 0.0, 4.0)
    # More calls of the same speakers are no more speakers.
    again = alert_performance(CHOSEN, calls * 10, draws=500)
    assert (again.caught, again.false_per_hour) == (made.caught, made.false_per_hour)


def test_a_single_speaker_has_no_interval_and_nothing_counted_no_value() -> None:
    made = alert_performance(CHOSEN, [call("a")], draws=100)
    for estimate in (made.caught, made.soon, made.precision):
        assert np.isnan(astuple(estimate)).all()
    assert made.delay_s is None
    assert made.false_per_hour.value == 0.0
    assert np.isnan([made.false_per_hour.low, made.false_per_hour.high]).all()


def test_no_calls_give_no_figures() -> None:
    made = alert_performance(CHOSEN, [], draws=100)
    assert (made.speakers, made.hours, made.alerts) == (0, 0.0, 0)
    assert np.isnan(made.false_per_hour.value)
