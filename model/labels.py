"""The labels of the network's answers, in the order of its outputs (paper section 3)."""

from enum import StrEnum


class Emotion(StrEnum):
    """How a voice sounds."""

    ANGER = "anger"
    HAPPINESS = "happiness"
    SADNESS = "sadness"
    NEUTRAL = "neutral"


class Style(StrEnum):
    """How an utterance was made: prompted in a studio, or spoken of the speaker's own accord."""

    ACTED = "acted"
    SPONTANEOUS = "spontaneous"


EMOTIONS = tuple(Emotion)
STYLES = tuple(Style)
ALERTED_EMOTIONS = (Emotion.ANGER, Emotion.HAPPINESS)  # the others never raise an alert

# A voice only ever *sounds* so; what a person feels is never stated.
ADJECTIVES = {
    Emotion.ANGER: "angry",
    Emotion.HAPPINESS: "happy",
    Emotion.SADNESS: "sad",
    Emotion.NEUTRAL: "neutral",
}


def sounds(emotion: Emotion, probability: float) -> str:
    """Returns a reading in words for people: `sounds angry (0.83)`."""
    return f"sounds {ADJECTIVES[emotion]} ({probability:.2f})"
