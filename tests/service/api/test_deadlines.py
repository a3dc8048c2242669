import math

import pytest

from service.api.deadlines import Cause, next_deadline

NEVER = math.inf


@pytest.mark.parametrize(
    ("stage_by_s", "start_by_s", "expected"),
    [
        (NEVER, NEVER, (160.0, Cause.IDLE)),
        (NEVER, 130.0, (130.0, Cause.START)),
        (NEVER, 170.0, (160.0, Cause.IDLE)),
        (105.0, NEVER, (105.0, Cause.STAGE)),
        (105.0, 130.0, (105.0, Cause.STAGE)),
        (140.0, 130.0, (130.0, Cause.START)),
        (170.0, 165.0, (160.0, Cause.IDLE)),
        (90.0, 130.0, (90.0, Cause.STAGE)),
    ],
)
def test_the_earliest_deadline_counts(
    stage_by_s: float, start_by_s: float, expected: tuple[float, Cause]
) -> None:
    assert expected == next_deadline(
        100.0, end_requested=False, stage_by_s=stage_by_s, start_by_s=start_by_s, idle_s=60.0
    )


@pytest.mark.parametrize(
    ("stage_by_s", "start_by_s", "expected"),
    [
        (160.0, 160.0, Cause.STAGE),
        (160.0, NEVER, Cause.STAGE),
        (NEVER, 160.0, Cause.START),
        (130.0, 130.0, Cause.STAGE),
    ],
)
def test_of_equal_deadlines_the_more_specific_counts(
    stage_by_s: float, start_by_s: float, expected: Cause
) -> None:
    _, cause = next_deadline(
        100.0, end_requested=False, stage_by_s=stage_by_s, start_by_s=start_by_s, idle_s=60.0
    )
    assert cause is expected


@pytest.mark.parametrize("stage_by_s", [NEVER, 100.0, 50.0])
def test_a_requested_end_takes_precedence_and_is_due_now(stage_by_s: float) -> None:
    assert next_deadline(
        100.0, end_requested=True, stage_by_s=stage_by_s, start_by_s=50.0, idle_s=60.0
    ) == (100.0, Cause.END_REQUESTED)


def test_the_idle_time_is_counted_from_now() -> None:
    for now_s in (0.0, 1.5, 1e6):
        by_s, cause = next_deadline(
            now_s, end_requested=False, stage_by_s=NEVER, start_by_s=NEVER, idle_s=30.0
        )
        assert (by_s, cause) == (now_s + 30, Cause.IDLE)
