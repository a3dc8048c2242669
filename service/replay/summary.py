"""Counts what happened during a replay, as far as the provider's protocol reports it."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from model.audio import SAMPLE_RATE
from service.telephony.shared.client import Feedback

FRAME_SAMPLES = 160  # 20 ms, as telephony sends them


@dataclass(slots=True)
class ReplaySummary:
    """The figures of a replay; they grow while its calls run.

    `feedback` is how much the service sends to this provider's client: without readings there is
    no lateness, without alerts there is no `fired`.
    """

    feedback: Feedback = Feedback.READINGS
    calls: int = 0  # connected
    live: int = 0
    played_s: float = 0.0
    readings: int = 0
    fired: Counter[str] = field(default_factory=Counter)  # alerts, by emotion
    errors: Counter[str] = field(default_factory=Counter)  # by code
    reasons: dict[str, str] = field(default_factory=dict)  # the first of each code
    late_s: "array[float]" = field(default_factory=lambda: array("d"))  # of each reading
    behind_s: float = 0.0  # the largest delay between a frame's due time and its sending

    def add_error(self, code: str, reason: str) -> None:
        """Counts one more error; the first reason of each code is kept."""
        self.errors[code] += 1
        self.reasons.setdefault(code, reason)

    def add_reading(self, end_s: float, arrived_s: float, sent_s: "array[float]") -> None:
        """Counts a reading and its lateness: from the sending of its last sample to its arrival.

        A reading of audio that was not sent yet counts as the error `reading_ahead`.

        Args:
            end_s: call time at which the scored window ends.
            arrived_s: when the reading came, on the clock of `sent_s`.
            sent_s: when each 20 ms frame of the call was sent.
        """
        frame = max(round(end_s * SAMPLE_RATE) - 1, 0) // FRAME_SAMPLES
        if not sent_s or frame > len(sent_s):  # one more is rounding
            self.add_error("reading_ahead", f"a reading ends at {end_s} s, beyond what was played")
            return
        self.readings += 1
        self.late_s.append(arrived_s - sent_s[min(frame, len(sent_s) - 1)])

    def late_percentile_s(self, percent: float) -> float | None:
        """Returns the lateness that `percent` of the readings don't exceed; None without any."""
        return float(np.percentile(self.late_s, percent)) if self.late_s else None
