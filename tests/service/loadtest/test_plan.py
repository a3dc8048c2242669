from itertools import islice

import pytest

from service.loadtest.plan import Plan, Steadiness


def test_steps_grow_by_a_factor_and_at_least_by_one_call() -> None:
    assert list(islice(Plan(start=10, factor=1.5).numbers(None), 5)) == [10, 15, 22, 33, 50]
    assert list(islice(Plan(start=1, factor=1.1).numbers(None), 4)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("most", "numbers"), [(None, [10, 20, 40]), (40, [10, 20, 40]), (25, [10, 20, 25]), (5, [5])]
)
def test_no_step_is_above_what_the_service_admits(most: int | None, numbers: list[int]) -> None:
    assert list(Plan(steps=(10, 20, 40)).numbers(most)) == numbers


def steady_at(rate: list[float], span_s: float = 5.0) -> int | None:
    """Returns the second at which readings that come at these rates count as steady."""
    steadiness, count = Steadiness(span_s), 0.0
    for second, readings in enumerate(rate):
        count += readings
        if steadiness.add(float(second), count):
            return second
    return None


def test_a_steady_rate_is_seen_after_two_spans() -> None:
    assert steady_at([40.0] * 30) == 10


def test_a_rate_that_rises_is_not_steady_until_it_stays() -> None:
    rising = [40.0 * second for second in range(20)]
    assert steady_at(rising) is None
    at = steady_at(rising + [800.0] * 20)
    assert at is not None
    assert at > 22


def test_few_readings_may_differ_by_chance() -> None:
    assert steady_at([1.0, 0.0, 2.0, 1.0, 0.0, 3.0, 0.0, 1.0, 2.0, 0.0, 1.0]) == 10
    assert steady_at([0.0] * 20) == 10  # nobody speaks
