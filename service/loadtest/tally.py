"""What the generator has counted: sent to the load test once a second, added up there."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

# Upper edges, in ms, of how late frames were sent.
BEHIND_MS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Returns the smallest value that `percent` of the values do not exceed; None without any."""
    if not values:
        return None
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


@dataclass(slots=True)
class Tally:
    """Counts of one stretch of time; they add up, but for those that say how things stand.

    Times are seconds. `ended` are calls that the generator stopped, `refused` those that the
    service ended before it had admitted them, `broken` all others that ended.
    """

    seconds: float = 0.0
    live: int = 0  # how things stand: admitted calls, at the end of the stretch
    started: int = 0
    ended: int = 0
    refused: int = 0
    broken: int = 0
    errors: int = 0  # that the service sent and that ended no call
    frames: int = 0
    readings: int = 0
    alerts: int = 0
    cpu_s: float = 0.0  # of the generator
    late_s: list[float] = field(default_factory=list)  # of each reading, from the end of its speech
    refused_after_s: list[float] = field(default_factory=list)  # from the start of each refused
    words: Counter[str] = field(default_factory=Counter)  # of errors, refusals and broken calls
    behind: list[int] = field(default_factory=lambda: [0] * (len(BEHIND_MS) + 1))  # frames, by edge

    def add_frame(self, behind_s: float) -> None:
        """Counts a frame that was sent so long after it was due."""
        self.frames += 1
        place = 0
        while place < len(BEHIND_MS) and behind_s * 1000 > BEHIND_MS[place]:
            place += 1
        self.behind[place] += 1

    def behind_percentile_s(self, percent: float) -> float:
        """Returns the upper edge of what `percent` of the frames were late; 0 without frames.

        What is beyond the last edge counts as that.
        """
        rank, seen = sum(self.behind) * percent / 100, 0
        for edge_ms, frames in zip((*BEHIND_MS, BEHIND_MS[-1]), self.behind, strict=True):
            seen += frames
            if seen and seen >= rank:
                return edge_ms / 1000
        return 0.0

    def add(self, later: "Tally") -> None:
        """Adds the counts of the next stretch of time."""
        self.seconds += later.seconds
        self.live = later.live
        self.started += later.started
        self.ended += later.ended
        self.refused += later.refused
        self.broken += later.broken
        self.errors += later.errors
        self.frames += later.frames
        self.readings += later.readings
        self.alerts += later.alerts
        self.cpu_s += later.cpu_s
        self.late_s += later.late_s
        self.refused_after_s += later.refused_after_s
        self.words += later.words
        self.behind = [mine + more for mine, more in zip(self.behind, later.behind, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as JSON has them."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**content, "words": dict(self.words)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Tally":
        """Returns the counts of `to_json`."""
        return cls(**{**content, "words": Counter(content["words"])})
