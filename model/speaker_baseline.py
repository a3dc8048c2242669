"""The speaker baseline: the mean functionals of what a caller said earlier in the call.

Anger shows as the distance of a voice from its own baseline, and a call provides that baseline.
Training and service compute it with this code.
"""

from dataclasses import dataclass

import numpy as np

from model.features import FeatureSpec, Frames
from model.functionals import SHORTEST_FRAMES, Functionals, functional_count, functionals

BASELINE_UTTERANCES = 8  # at the beginning of a call, before which few callers are angry


@dataclass(frozen=True, slots=True)
class ModelInput:
    """All that the network is given of one window."""

    frames: Frames  # (T, channels), not normalised
    functionals: Functionals  # (F,) of these frames
    baseline: Functionals  # (F,) mean of those of what the caller said before; zeros if nothing
    baseline_utterances: int  # how many that was


class SpeakerBaseline:
    """One caller's own voice: the mean functionals of the first utterances of a call.

    Only the past counts, and no label is needed. The baseline stays when there are enough of them,
    so that anger that lasts doesn't become the measure of itself. Nothing of what was said can be
    had back from it.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._sum = np.zeros(functional_count(spec))
        self._utterances = 0

    def features(self, frames: Frames) -> ModelInput:
        """A window (T, channels) against what was said before it."""
        before = (self._sum / max(1, self._utterances)).astype(np.float32)
        return ModelInput(frames, functionals(frames, self._spec), before, self._utterances)

    def update(self, frames: Frames) -> None:
        """An utterance (T, channels) is over, and part of the past from now on."""
        if not self._spec.functionals or self._utterances == BASELINE_UTTERANCES:
            return
        if len(frames) >= SHORTEST_FRAMES:
            self._sum += functionals(frames, self._spec)
            self._utterances += 1
