import pytest

from model.labels import ADJECTIVES, EMOTIONS, Emotion, sounds


def test_a_reading_in_words_names_the_emotion_and_its_probability() -> None:
    assert sounds(Emotion.ANGER, 0.826) == "sounds angry (0.83)"
    assert sounds(Emotion.NEUTRAL, 1) == "sounds neutral (1.00)"


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_has_its_adjective(emotion: Emotion) -> None:
    assert ADJECTIVES[emotion] in sounds(emotion, 0.5)
