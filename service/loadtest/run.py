"""The load test: steps, overload, soak and audit, one after the other."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from service.loadtest.generator_process import GeneratorProcess
from service.loadtest.measure import Measurement, mb
from service.loadtest.objectives import capped_by, judge, judge_audit
from service.loadtest.plan import OVERLOAD, SOAK, Plan, Steadiness
from service.loadtest.probe import Sample
from service.loadtest.result import Audit, Result, Snapshot, Step, Verdict
from service.loadtest.tally import Tally
from service.loadtest.target import Target

STEADY_SPAN_S = 5.0
QUIET_S = 20.0  # after the last call, in which the service gives memory back


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase is: `done_s` of at most `total_s`."""

    phase: str
    done_s: float
    total_s: float


class LoadTest:
    """Runs a plan on a target, with a generator that has begun, and fills a result.

    Args:
        changed: called when a step was added to the result.
        progress: called about once a second.
    """

    def __init__(
        self,
        plan: Plan,
        target: Target,
        generator: GeneratorProcess,
        result: Result,
        *,
        changed: Callable[[], None] = lambda: None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._plan = plan
        self._target = target
        self._generator = generator
        self._result = result
        self._changed = changed
        self._progress = progress
        self._fresh: Sample | None = None  # of the service's process, before its first call

    async def run(self) -> None:
        """Runs all phases; the target must have been started.

        Raises:
            ServiceFailed: the service does not answer any more.
            GeneratorFailed: the generator has ended by itself.
        """
        plan, result = self._plan, self._result
        self._fresh = await self._target.probe.sample()
        await self._steps(self._fresh.max_calls)
        if result.capacity is None:
            return
        if plan.overload:
            await self._overload(result.capacity)
        if plan.soak_minutes:
            await self._soak(round(result.capacity * SOAK))
        if plan.audit:
            await self._audit(max(1, round(result.capacity * SOAK)))

    async def _steps(self, max_calls: float | None) -> None:
        plan, result = self._plan, self._result
        most = None if max_calls is None else int(max_calls)
        for calls in plan.numbers(most):
            step = await self._step(calls, f"{calls} calls", plan.hold_s)
            judge(step, plan.limits, talk=plan.talk)
            result.steps.append(step)
            if step.verdict is Verdict.HELD:
                result.capacity = calls
                self._changed()
                continue
            result.stopped_by = "; ".join(step.reasons)
            result.capped_by = capped_by(step, result.machine.cores)
            break
        else:
            if most is not None and result.capacity == most:
                result.stopped_by = f"the service admits no more than {most} calls"
                result.capped_by = "admission: KANJO_MAX_CALLS"
            else:
                result.stopped_by = "all steps held"
                result.capped_by = "nothing: no more calls were tried"
        self._changed()

    async def _overload(self, capacity: int) -> None:
        """Admits as many calls as held, has half as many again come, and measures those."""
        plan, result = self._plan, self._result
        if self._target.restarts:
            await self._end_calls()
            await self._target.start(capacity)
            self._fresh = await self._target.probe.sample()
            admitted = capacity
        else:
            admits = (await self._target.probe.sample()).max_calls
            if admits is None or admits > capacity:
                result.overload_skipped = (
                    f"the service admits {'any number of' if admits is None else f'{admits:.0f}'} "
                    f"calls; with KANJO_MAX_CALLS={capacity} it would refuse what it can't take"
                )
                return
            admitted = int(admits)
        offered = math.ceil(admitted * OVERLOAD)
        step = await self._step(offered, f"overload, {offered} calls", plan.hold_s, admitted)
        judge(step, plan.limits, talk=plan.talk, overload=True)
        result.overload = step
        self._changed()

    async def _soak(self, calls: int) -> None:
        """Holds calls for minutes, of which each is measured by itself."""
        plan, result = self._plan, self._result
        minutes = plan.soak_minutes
        while minutes > 0:
            name = f"soak, {calls} calls, minute {len(result.soak) + 1}"
            step = await self._step(calls, name, min(1.0, minutes) * 60, settles=not result.soak)
            judge(step, plan.limits, talk=plan.talk)
            result.soak.append(step)
            self._changed()
            minutes -= 1

    async def _audit(self, calls: int) -> None:
        fresh = self._fresh
        assert fresh is not None
        before = await self._empty()
        await self._step(calls, f"audit, {calls} calls once more", self._plan.hold_s)
        after = await self._empty()
        audit = Audit(calls, _snapshot(fresh), _snapshot(before), _snapshot(after))
        judge_audit(audit, self._plan.limits)
        self._result.audit = audit
        self._changed()

    async def _step(
        self,
        calls: int,
        name: str,
        hold_s: float,
        admitted: int | None = None,
        settles: bool = True,
    ) -> Step:
        """Brings the calls about, waits until they are steady, and measures them.

        What is refused or broken before it is steady counts too.

        Args:
            admitted: how many of the calls are expected to be live; all unless given.
        """
        self._generator.take_tally()
        self._generator.want(calls)
        ramp = Tally()
        if settles:
            await self._ramp(name, admitted or calls)
            await self._settle(name)
            ramp = self._generator.take_tally()
        measured = await Measurement.begin(self._target, ramp)
        began_s = time.monotonic()
        while (passed_s := time.monotonic() - began_s) < hold_s:
            self._progress(Progress(f"{name}, measuring", passed_s, hold_s))
            await self._generator.report()
        return await measured.end(calls, self._generator.take_tally())

    async def _ramp(self, name: str, live: int) -> None:
        """Returns when so many calls are live, or the time for it is over."""
        plan = self._plan
        total_s = plan.ramp_s + (live / plan.arrivals if plan.arrivals else 0.0)
        began_s = time.monotonic()
        while (passed_s := time.monotonic() - began_s) < total_s:
            if self._generator.live >= live:
                return
            self._progress(Progress(f"{name}, {self._generator.live} live", passed_s, total_s))
            await self._generator.report()

    async def _settle(self, name: str) -> None:
        """Returns when readings come at a steady rate, or the time for it is over."""
        steadiness = Steadiness(STEADY_SPAN_S)
        began_s = time.monotonic()
        while (passed_s := time.monotonic() - began_s) < self._plan.settle_s:
            self._progress(Progress(f"{name}, settling", passed_s, self._plan.settle_s))
            sample = await self._target.probe.sample()
            if sample.readings is None or steadiness.add(sample.at_s, sample.readings):
                return
            await self._generator.report()

    async def _end_calls(self) -> None:
        """Ends all calls; returns when the service has no more, or a ramp's time is over."""
        self._generator.want(0)
        began_s = time.monotonic()
        while time.monotonic() - began_s < self._plan.ramp_s:
            await self._generator.report()
            if not (await self._target.probe.sample()).live:
                return

    async def _empty(self) -> Sample:
        """Ends all calls; returns the figures once the service is idle and holds nothing of them.

        Descriptors, tasks and memory are given `idle_s`, so that what is given back late counts as
        given back.
        """
        self._generator.want(0)
        began_s = time.monotonic()
        fresh = self._fresh
        while True:
            await self._generator.report()
            sample = await self._target.probe.sample()
            passed_s = time.monotonic() - began_s
            if passed_s >= self._plan.idle_s or (
                fresh is not None and _holds_no_more(sample, fresh) and passed_s >= QUIET_S
            ):
                return sample
            self._progress(
                Progress("waiting for the service to be idle", passed_s, self._plan.idle_s)
            )


def _holds_no_more(sample: Sample, fresh: Sample) -> bool:
    return (
        sample.idle
        and (sample.tasks or 0) <= (fresh.tasks or 0)
        and (sample.descriptors or 0) <= (fresh.descriptors or 0)
    )


def _snapshot(sample: Sample) -> Snapshot:
    return Snapshot(mb(sample.memory_bytes), sample.descriptors, sample.tasks, sample.idle)
