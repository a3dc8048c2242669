import pytest

from model.labels import Emotion
from service.events import AlertState, Track, Transition


@pytest.mark.parametrize(
    ("emotion", "state", "text"),
    [
        (Emotion.ANGER, AlertState.PENDING, "sounds angry (0.83)"),
        (Emotion.ANGER, AlertState.FIRING, "sounds angry (0.83)"),
        (Emotion.ANGER, AlertState.RESOLVED, "no longer sounds angry (0.83)"),
        (Emotion.HAPPINESS, AlertState.LAPSED, "no longer sounds happy (0.83)"),
    ],
)
def test_the_text_of_a_transition_is_how_a_voice_sounds_not_what_a_person_feels(
    emotion: Emotion, state: AlertState, text: str
) -> None:
    step = Transition("a", 1, "c", Track.CALLER, emotion, state, 1.0, 2.0, 0.828, 0.9)
    assert step.text == text
