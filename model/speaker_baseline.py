"""The speaker baseline: the mean functionals of a caller's first utterances in a call.

Anger shows as the distance of a voice from its own baseline, and a call provides that baseline.
Training and the service compute it with this code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.features import FeatureSpec, Frames
from model.functionals import SHORTEST_FRAMES, Functionals, functional_count, functionals
from model.speech_check import SpeechCheck

# A baseline is complete after so many utterances: in the beginning of a call few callers are angry.
BASELINE_UTTERANCES = 8


@dataclass(frozen=True, slots=True)
class ModelInput:
    """All that the network is given of one window."""

    frames: Frames  # (T, n_features), not normalised
    functionals: Functionals  # (F,) of these frames
    baseline: Functionals  # (F,) mean of the caller's utterances before the window; zeros if none
    baseline_utterances: int  # how many those are


class SpeakerBaseline:
    """The mean functionals of one caller's first utterances in a call.

    A window is measured against utterances before it only, and no label is needed. The baseline
    stays as it is once it is complete, so that lasting anger does not become its own measure. What
    was spoken cannot be recovered from it.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._sum = np.zeros(functional_count(spec))
        self._utterances = 0

    # Both are called with a window's chunks, of which a model on log-mel frames has none.

    def features(self, frames: Frames, chunks: Sequence[object] = ()) -> ModelInput:
        """Returns a window (T, n_features) together with the baseline as it stands."""
        baseline = (self._sum / max(1, self._utterances)).astype(np.float32)
        return ModelInput(frames, functionals(frames, self._spec), baseline, self._utterances)

    def update(
        self, frames: Frames, check: SpeechCheck | None = None, chunks: Sequence[object] = ()
    ) -> None:
        """Adds a finished utterance (T, n_features) to the baseline, unless it is complete.

        Utterances of fewer than SHORTEST_FRAMES frames are left out, and those that `check`
        rejects.
        """
        if not self._spec.functionals or self._utterances == BASELINE_UTTERANCES:
            return
        if len(frames) < SHORTEST_FRAMES:
            return
        utterance = functionals(frames, self._spec)
        if check is None or check.accepts(utterance):
            self._sum += utterance
            self._utterances += 1
