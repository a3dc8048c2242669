"""The interface between the batcher and an engine that scores windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from model.chunked_input import WindowInput
from model.labels import Emotion, Style


@dataclass(frozen=True, slots=True)
class Posterior:
    """The network's probabilities for one window; each dict sums to 1."""

    emotion: dict[Emotion, float]
    style: dict[Style, float]


class NotANumber(ArithmeticError):
    """Raised where the network returned something other than probabilities."""


class Scorer(Protocol):
    """An engine that scores windows; it is called from one thread at a time."""

    def score(self, windows: Sequence[WindowInput]) -> list[Posterior]:
        """Returns one posterior per window, in the order of the windows."""
