"""One track of a stream: decoded samples to windows at 8 kHz."""

import numpy as np

from model.audio import Resampler
from model.speaker_baseline import SpeakerBaseline
from service.calls.context import CallContext
from service.calls.windows import WindowCutter
from service.events import Gap

CONCEALED_S = 0.1  # of loss at most that is filled with what came before; longer is a gap

NO_SAMPLES = np.zeros(0, np.int16)


class TrackPipeline:
    """One track, brought to 8 kHz and cut into windows."""

    def __init__(self, rate: int, context: CallContext, caller: SpeakerBaseline) -> None:
        gate = context.meta.gate if context.gate else None
        self.rate = rate
        self.resampler = Resampler(rate)
        self.cutter = WindowCutter(
            context.meta.features, gate, context.first_s, context.hop_s, caller
        )
        self.ticked_s = 0.0
        self.latest = NO_SAMPLES  # what was heard last, at `rate`

    def can_conceal(self, gap: Gap) -> bool:
        """A lost packet or a few don't end a sentence: what came before is heard again instead."""
        return bool(len(self.latest)) and gap.samples <= CONCEALED_S * self.rate
