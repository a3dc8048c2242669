"""What a load test has measured; it becomes a file of JSON."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from model.files import atomic_write
from service.loadtest.processor import Machine

FORMAT = 1  # of the file; raised when a field changes its meaning
FILE = "result.json"


class Verdict(StrEnum):
    """Whether the objectives held in a step, as `judge` found."""

    HELD = "held"
    BROKEN = "broken"  # an objective
    NOT_COUNTED = "not counted"  # the generator was late itself


@dataclass(slots=True)
class Step:
    """A number of calls, held for a time; None: not known.

    CPU is in cores: 1 is one core, busy all the time. Lateness is counted from the end of a
    window's speech: at the caller where its provider is sent readings, else in the service.
    """

    calls: int  # that were asked for
    seconds: float  # for which they were held
    live: int  # at the end
    readings: int = 0
    late_at: str = "service"  # or caller
    late_p50_s: float | None = None
    late_p95_s: float | None = None
    late_p99_s: float | None = None
    service_late_p95_s: float | None = None
    dropped: float | None = None
    refused: int = 0
    refused_p95_s: float | None = None  # from a call's start to its refusal
    broken: int = 0
    errors: int = 0
    words: dict[str, int] = field(default_factory=dict)  # of refusals, errors and broken calls
    frames_per_s: float = 0.0
    behind_p99_s: float = 0.0  # of frames, from when they were due until they were sent
    generator_cpu: float = 0.0
    service_cpu: float | None = None
    loop_cpu: float | None = None  # of the service's main thread, its event loop
    scorer: float | None = None  # share of the time in which a batch was being scored
    machine_cpu: float | None = None  # share of all cores that was busy with anything
    batch: float | None = None  # windows in a batch, on average
    memory_mb: float | None = None
    descriptors: float | None = None
    tasks: float | None = None
    verdict: Verdict = Verdict.HELD
    reasons: list[str] = field(default_factory=list)

    @property
    def cpu_a_call(self) -> float | None:
        """Thousandths of a core that the service uses for a call."""
        return self.service_cpu / self.live * 1000 if self.service_cpu and self.live else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the service holds at a moment at which it has no calls."""

    memory_mb: float | None
    descriptors: float | None
    tasks: float | None
    idle: bool  # no call, no queued window, no pending write


@dataclass(slots=True)
class Audit:
    """What the service keeps of calls that are over.

    Memory is compared between two idle moments of one process with the same load between them,
    because the first load fills caches and heaps that stay.
    """

    calls: int
    fresh: Snapshot  # before the first call of the process
    before: Snapshot  # idle, after all of the test
    after: Snapshot  # idle again, after the same process was loaded once more
    verdict: Verdict = Verdict.HELD
    reasons: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """A whole load test, or as much of it as was done."""

    version: str
    began_at: str  # ISO 8601, UTC
    machine: Machine
    target: str
    settings: dict[str, Any]
    steps: list[Step] = field(default_factory=list)
    capacity: int | None = None  # calls of the last step that held
    stopped_by: str = ""  # why the steps ended
    capped_by: str = ""  # what had no more to give
    overload: Step | None = None
    overload_skipped: str = ""  # why there was none
    soak: list[Step] = field(default_factory=list)  # a minute each
    audit: Audit | None = None
    interrupted: bool = False
    problem: str = ""  # that ended the test

    @property
    def failed(self) -> bool:
        """Whether anything after the steps broke an objective, or no step held."""
        others = [*([self.overload] if self.overload else []), *self.soak]
        broken = any(step.verdict is not Verdict.HELD for step in others)
        leaks = self.audit is not None and self.audit.verdict is not Verdict.HELD
        return bool(self.problem) or self.capacity is None or broken or leaks

    def write(self, folder: Path) -> None:
        """Writes `result.json` into a folder."""
        content = json.dumps({"format": FORMAT, **asdict(self)}, indent=2, allow_nan=False)
        with atomic_write(folder / FILE) as unfinished:
            unfinished.write_text(content + "\n", encoding="utf-8")
