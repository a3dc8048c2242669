"""Tells speech from other sounds that pass the gate: music on hold, tones, keypads, blowing, noise.

The gate decides every 10 ms from the level and WebRTC's detector, for which a melody is a voice. A
window is long enough to see more: a small network on its functionals, trained on recorded speech
against sounds that the project makes itself (`training/speech_check.py`).
"""

import numpy as np
from numpy.typing import NDArray

from model.features import FeatureSpec
from model.functionals import Functionals

FARTHEST = 6.0  # standard deviations by which an input may be off its mean


class SpeechCheck:
    """The mean of several networks with one hidden layer each, on standardised functionals.

    Args:
        spec: of the frames whose functionals are judged.
        mean, scale: (F,) of the functionals in training.
        hidden, hidden_bias: (N, F, H) and (N, H).
        output, output_bias: (N, H) and (N,).
        threshold: the score from which a sound is none of speech.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        mean: NDArray[np.float32],
        scale: NDArray[np.float32],
        hidden: NDArray[np.float32],
        hidden_bias: NDArray[np.float32],
        output: NDArray[np.float32],
        output_bias: NDArray[np.float32],
        threshold: float,
    ) -> None:
        self.spec = spec
        self.threshold = threshold
        self._mean, self._scale = mean, scale
        count, size, width = hidden.shape
        self._hidden = np.ascontiguousarray(hidden.transpose(1, 0, 2)).reshape(size, count * width)
        self._hidden_bias = hidden_bias.reshape(count * width)
        self._output = output.reshape(count * width) / count
        self._output_bias = float(output_bias.mean())

    def score(self, functionals: Functionals) -> float:
        """Returns the log odds that a window with these functionals (F,) is no speech."""
        inputs = np.clip((functionals - self._mean) / self._scale, -FARTHEST, FARTHEST)
        hidden = np.maximum(inputs @ self._hidden + self._hidden_bias, 0)
        return float(hidden @ self._output) + self._output_bias

    def accepts(self, functionals: Functionals) -> bool:
        """Returns whether a window with these functionals (F,) may be speech."""
        return self.score(functionals) < self.threshold
