"""The interface between the batcher and an engine that scores windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from model.labels import Emotion, Style
from model.speaker_baseline import ModelInput


@dataclass(frozen=True, slots=True)
class Posterior:
    """What the network says of one window."""

    emotion: dict[Emotion, float]
    style: dict[Style, float]


class NotANumber(ArithmeticError):
    """The network answered a window with something that is no probability."""


class Scorer(Protocol):
    """Whoever answers windows; in their order, from any one thread."""

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]: ...
