"""The words the network answers in, in the order of its outputs (paper section 3)."""

from enum import StrEnum


class Emotion(StrEnum):
    """How a voice sounds."""

    ANGER = "anger"
    HAPPINESS = "happiness"
    SADNESS = "sadness"
    NEUTRAL = "neutral"


class Style(StrEnum):
    """How an utterance came to be: prompted in a studio, or spoken for its own sake."""

    ACTED = "acted"
    SPONTANEOUS = "spontaneous"


# A voice only ever *sounds* so.
ADJECTIVES = {
    Emotion.ANGER: "angry",
    Emotion.HAPPINESS: "happy",
    Emotion.SADNESS: "sad",
    Emotion.NEUTRAL: "neutral",
}


def sounds(emotion: Emotion, probability: float) -> str:
    """In words for people: `sounds angry (0.83)`."""
    return f"sounds {ADJECTIVES[emotion]} ({probability:.2f})"


EMOTIONS = tuple(Emotion)
STYLES = tuple(Style)
