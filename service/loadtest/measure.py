"""Measures what happens between two moments: of the calls, the service and the machine."""

import time
from dataclasses import dataclass
from typing import Self

from service.loadtest.probe import Sample, late_percentile_s
from service.loadtest.processor import machine_s, main_thread_s
from service.loadtest.result import Step
from service.loadtest.tally import Tally, percentile
from service.loadtest.target import Target

MB = 1e6


def mb(size: float | None) -> float | None:
    """Returns a number of bytes as megabytes with one decimal; None stays None."""
    return None if size is None else round(size / MB, 1)


@dataclass(frozen=True, slots=True)
class _Moment:
    at_s: float
    sample: Sample
    loop_s: float | None
    machine: tuple[float, float] | None

    @classmethod
    async def now(cls, target: Target) -> Self:
        loop_s = main_thread_s(target.pid) if target.pid else None
        sample = await target.probe.sample()
        return cls(time.monotonic(), sample, loop_s, machine_s() if target.pid else None)


class Measurement:
    """Begun at one moment, ended at another.

    Args:
        ramp: what had happened before, of which refusals and broken calls count.
    """

    def __init__(self, target: Target, ramp: Tally, began: _Moment) -> None:
        self._target = target
        self._ramp = ramp
        self._began = began

    @classmethod
    async def begin(cls, target: Target, ramp: Tally) -> Self:
        """Returns a measurement whose time and counts begin at this moment."""
        return cls(target, ramp, await _Moment.now(target))

    async def end(self, calls: int, tally: Tally) -> Step:
        """Returns what has happened since then.

        Args:
            calls: that were asked for.
            tally: of the generator, of the same time.
        """
        ramp, began, ended = self._ramp, self._began, await _Moment.now(self._target)
        before, after = began.sample, ended.sample
        seconds = ended.at_s - began.at_s
        refused_after_s = ramp.refused_after_s + tally.refused_after_s
        step = Step(
            calls,
            round(seconds, 2),
            tally.live,
            readings=round(_grown(before.readings, after.readings) or tally.readings),
            service_late_p95_s=_rounded(late_percentile_s(before, after, 95)),
            dropped=_grown(before.dropped, after.dropped),
            refused=ramp.refused + tally.refused,
            refused_p95_s=_rounded(percentile(refused_after_s, 95)),
            broken=ramp.broken + tally.broken,
            errors=ramp.errors + tally.errors,
            words=dict((ramp.words + tally.words).most_common(10)),
            frames_per_s=round(tally.frames / max(tally.seconds, 1e-9), 1),
            behind_p99_s=tally.behind_percentile_s(99),
            generator_cpu=round(tally.cpu_s / max(tally.seconds, 1e-9), 3),
            service_cpu=_rate(before.cpu_s, after.cpu_s, seconds),
            loop_cpu=_rate(began.loop_s, ended.loop_s, seconds),
            scorer=_rate(before.scoring_s, after.scoring_s, seconds),
            memory_mb=mb(after.memory_bytes),
            descriptors=after.descriptors,
            tasks=after.tasks,
        )
        batches = _grown(before.batches, after.batches)
        step.batch = round(step.readings / batches, 2) if batches else None
        if began.machine and ended.machine:
            possible_s = ended.machine[1] - began.machine[1]
            step.machine_cpu = _rate(began.machine[0], ended.machine[0], possible_s)
        if tally.late_s:
            step.late_at = "caller"
        step.late_p50_s, step.late_p95_s, step.late_p99_s = (
            _rounded(
                percentile(tally.late_s, percent)
                if tally.late_s
                else late_percentile_s(before, after, percent)
            )
            for percent in (50, 95, 99)
        )
        return step


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    grown = _grown(before, after)
    return None if grown is None else round(grown / max(seconds, 1e-9), 3)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
