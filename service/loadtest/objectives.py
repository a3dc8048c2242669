"""What a service promises under load, whether a step kept it, and what capped it; pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.loadtest.result import Audit, Step, Verdict

BUSY = 0.85  # of a core: a thread that computes so much has no more to give
MACHINE_BUSY = 0.95  # of all cores
REPLACED = 0.05  # of the calls: those that are over and whose successors connect just now


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the objectives.

    Args:
        late_s: the 95th percentile of lateness from the end of a window's speech stays below it.
        refused_s: of 20 refusals, 19 come within it.
        behind_s: the generator sends 99 % of its frames within it; a step in which it does not
            is not counted, because the load was another one.
        memory_growth: share by which memory may grow when the same load comes once more.
    """

    late_s: float = 1.0
    refused_s: float = 1.0
    behind_s: float = 0.1
    memory_growth: float = 0.05


def judge(step: Step, limits: Limits, *, talk: float, overload: bool = False) -> None:
    """Sets a step's verdict and the reasons for it.

    Args:
        talk: share of the time in which callers speak; without speech no reading is missed.
        overload: more calls came than are admitted, so that refusals are right and must be quick.
    """
    if step.behind_p99_s > limits.behind_s:
        step.verdict = Verdict.NOT_COUNTED
        step.reasons = [
            f"the generator sent 1 % of its frames more than {limits.behind_s * 1000:.0f} ms late"
        ]
        return
    step.reasons = list(_broken(step, limits, talk, overload))
    step.verdict = Verdict.BROKEN if step.reasons else Verdict.HELD


def _broken(step: Step, limits: Limits, talk: float, overload: bool) -> Iterator[str]:
    if step.late_p95_s is None:
        if talk:
            yield "no reading came"
    elif step.late_p95_s >= limits.late_s:
        yield f"p95 lateness is {step.late_p95_s:.2f} s, expected below {limits.late_s:g} s"
    if step.dropped:
        yield f"{step.dropped:.0f} windows or readings were dropped"
    if step.broken:
        yield f"{step.broken} admitted calls were ended by the service"
    if step.errors:
        yield f"the service sent {step.errors} errors"
    if step.refused and not overload:
        yield f"{step.refused} calls were refused"
    if overload:
        if not step.refused:
            yield "no call was refused"
        elif (step.refused_p95_s or 0.0) > limits.refused_s:
            yield f"p95 of refusals took {step.refused_p95_s:.2f} s"
    elif step.live < step.calls - max(1, REPLACED * step.calls) and not step.refused:
        yield f"{step.live} of {step.calls} calls were live"


def capped_by(step: Step, cores: int) -> str:
    """Returns what had no more to give in a step that did not hold."""
    if step.verdict is Verdict.NOT_COUNTED:
        others = step.machine_cpu is not None and step.machine_cpu >= MACHINE_BUSY
        why = ", and the machine had no more" if others else ""
        return f"generator: it used {step.generator_cpu:.2f} cores and was late itself{why}"
    if step.refused:
        return "admission: KANJO_MAX_CALLS, or a limit of connections"
    if step.scorer is not None and step.scorer >= BUSY:
        return f"scorer: it was scoring {step.scorer:.0%} of the time"
    if step.loop_cpu is not None and step.loop_cpu >= BUSY:
        return f"event loop: the service's main thread used {step.loop_cpu:.2f} of a core"
    if step.machine_cpu is not None and step.machine_cpu >= MACHINE_BUSY:
        used = "" if step.service_cpu is None else f", the service {step.service_cpu:.2f}"
        return f"machine: its {cores} cores were busy{used}, the generator {step.generator_cpu:.2f}"
    if step.service_cpu is None:
        return "unknown: the service does not say what it computed"
    return f"no processor: the service used {step.service_cpu:.2f} of {cores} cores"


def judge_audit(audit: Audit, limits: Limits) -> None:
    """Sets an audit's verdict and the reasons for it."""
    fresh, before, after = audit.fresh, audit.before, audit.after
    reasons = []
    if not (before.idle and after.idle):
        reasons.append("calls, windows or writes were left after all calls were over")
    for name in ("tasks", "descriptors"):
        first, last = getattr(fresh, name), getattr(after, name)
        if first is not None and last is not None and last > first:
            reasons.append(f"{name}: {first:.0f} before the first call, {last:.0f} after the last")
    if before.memory_mb and after.memory_mb:
        growth = after.memory_mb / before.memory_mb - 1
        if growth > limits.memory_growth:
            reasons.append(f"memory grew by {growth:.1%} when the same load came once more")
    audit.reasons = reasons
    audit.verdict = Verdict.BROKEN if reasons else Verdict.HELD
