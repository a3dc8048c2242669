from typing import Any

import pytest

from service.loadtest.objectives import Limits, capped_by, judge, judge_audit
from service.loadtest.result import Audit, Snapshot, Step, Verdict

LIMITS = Limits()


def step(**changes: Any) -> Step:
    """A step that holds, but for the changes."""
    usual: dict[str, Any] = {
        "calls": 100,
        "seconds": 30.0,
        "live": 100,
        "late_p95_s": 0.7,
        "dropped": 0.0,
        "generator_cpu": 0.3,
        "service_cpu": 0.6,
    }
    return Step(**{**usual, **changes})


def judged(talk: float = 0.45, overload: bool = False, **changes: Any) -> Step:
    found = step(**changes)
    judge(found, LIMITS, talk=talk, overload=overload)
    return found


def test_a_step_within_all_bounds_holds() -> None:
    assert judged().verdict is Verdict.HELD
    assert judged().reasons == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"late_p95_s": 1.0}, "p95 lateness is 1.00 s, expected below 1 s"),
        ({"late_p95_s": None}, "no reading came"),
        ({"dropped": 3.0}, "3 windows or readings were dropped"),
        ({"refused": 2}, "2 calls were refused"),
        ({"broken": 1}, "1 admitted calls were ended by the service"),
        ({"errors": 4}, "the service sent 4 errors"),
        ({"live": 90}, "90 of 100 calls were live"),
    ],
)
def test_each_objective_can_break(changes: dict[str, Any], reason: str) -> None:
    found = judged(**changes)
    assert (found.verdict, found.reasons) == (Verdict.BROKEN, [reason])


def test_calls_that_are_just_being_replaced_break_nothing() -> None:
    assert judged(live=96).verdict is Verdict.HELD
    assert judged(calls=5, live=4).verdict is Verdict.HELD


def test_callers_who_never_speak_need_no_reading() -> None:
    assert judged(talk=0.0, late_p95_s=None).verdict is Verdict.HELD


def test_a_step_whose_generator_was_late_does_not_count_whatever_else_happened() -> None:
    found = judged(behind_p99_s=0.15, late_p95_s=4.0, dropped=7.0)
    assert found.verdict is Verdict.NOT_COUNTED
    assert found.reasons == ["the generator sent 1 % of its frames more than 100 ms late"]


def test_in_an_overload_refusals_are_right_and_must_be_quick() -> None:
    assert judged(overload=True, live=67, refused=33, refused_p95_s=0.2).verdict is Verdict.HELD
    slow = judged(overload=True, live=67, refused=33, refused_p95_s=2.5)
    assert slow.reasons == ["p95 of refusals took 2.50 s"]
    assert judged(overload=True).reasons == ["no call was refused"]
    assert judged(overload=True, refused=33, late_p95_s=1.2).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"refused": 3}, "admission"),
        ({"scorer": 0.97, "loop_cpu": 0.99}, "scorer: it was scoring 97% of the time"),
        ({"scorer": 0.4, "loop_cpu": 0.91}, "event loop: the service's main thread used 0.91"),
        ({"scorer": 0.4, "loop_cpu": 0.5, "machine_cpu": 0.99}, "machine: its 2 cores were busy"),
        ({"service_cpu": None}, "unknown"),
        ({"machine_cpu": 0.4}, "no processor: the service used 0.60 of 2 cores"),
    ],
)
def test_what_capped_a_step_is_named(changes: dict[str, Any], part: str) -> None:
    assert capped_by(judged(late_p95_s=2.0, **changes), cores=2).startswith(part)


def test_a_generator_that_was_late_is_the_cap() -> None:
    late = judged(behind_p99_s=0.5, generator_cpu=1.0, scorer=0.99, machine_cpu=1.0)
    assert capped_by(late, 2) == (
        "generator: it used 1.00 cores and was late itself, and the machine had no more"
    )


def audit(**after: Any) -> Audit:
    usual: dict[str, Any] = {"memory_mb": 400.0, "descriptors": 20, "tasks": 18, "idle": True}
    found = Audit(80, Snapshot(350.0, 20, 18, True), Snapshot(**usual), Snapshot(**usual | after))
    judge_audit(found, LIMITS)
    return found


def test_a_service_that_has_given_all_back_passes_the_audit() -> None:
    assert audit().verdict is Verdict.HELD
    assert audit(memory_mb=419.0, tasks=17).verdict is Verdict.HELD
    assert audit(memory_mb=None, tasks=None, descriptors=None).verdict is Verdict.HELD


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ({"tasks": 19}, "tasks: 18 before the first call, 19 after the last"),
        ({"descriptors": 23}, "descriptors: 20 before the first call, 23 after the last"),
        ({"memory_mb": 424.0}, "memory grew by 6.0% when the same load came once more"),
        ({"idle": False}, "calls, windows or writes were left after all calls were over"),
    ],
)
def test_each_leak_is_a_reason(after: dict[str, Any], reason: str) -> None:
    assert (audit(**after).verdict, audit(**after).reasons) == (Verdict.BROKEN, [reason])
