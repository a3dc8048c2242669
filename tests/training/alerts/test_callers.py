from typing import Any

import pytest

from training.alerts.callers import CallsError, ExcludedSpeaker, SimulatedCaller, held_out_callers
from training.data.manifest import Utterance

TRAINED_ON = {"stage": {"valid_speakers": ["ada"], "test_speakers": ["ben", "cyd"]}}


def test_held_out_speakers_are_callers_or_excluded_with_a_reason(
    three_speakers: list[Utterance], ada: SimulatedCaller, ben: SimulatedCaller
) -> None:
    assert held_out_callers(three_speakers, TRAINED_ON, "valid") == ([ada], [])
    callers, excluded = held_out_callers(three_speakers, TRAINED_ON, "test")
    assert callers == [ben]
    assert excluded == [ExcludedSpeaker("stage", "cyd", "2 neutral utterances, expected 3 or more")]
    elsewhere = {"street": {"valid_speakers": ["ada"]}, "stage": TRAINED_ON["stage"]}
    callers, excluded = held_out_callers(three_speakers, elsewhere, "valid")
    assert callers == [ada]
    assert excluded == [ExcludedSpeaker("street", "ada", "no recordings")]


def test_a_model_that_does_not_name_its_held_out_speakers_is_refused(
    three_speakers: list[Utterance],
) -> None:
    with pytest.raises(CallsError, match=r"stage: found \['speakers'\], expected test_speakers"):
        held_out_callers(three_speakers, {"stage": {"speakers": ["ada"]}}, "test")


@pytest.mark.parametrize("trained_on", [{}, {"stage": {"test_speakers": ["cyd", "nobody"]}}])
def test_held_out_speakers_without_a_possible_caller_are_refused(
    three_speakers: list[Utterance], trained_on: dict[str, Any]
) -> None:
    with pytest.raises(CallsError, match="test speakers, none with 3 neutral utterances"):
        held_out_callers(three_speakers, trained_on, "test")
