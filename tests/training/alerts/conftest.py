import pytest

from model.labels import EMOTIONS, Emotion
from tests.training.alerts.recordings import recorded
from training.alerts.callers import SimulatedCaller
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
