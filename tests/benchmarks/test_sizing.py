"""The arithmetic of `docs/scaling.md`; its tables are checked by `tests/test_readme.py`."""

import re
from dataclasses import replace

import pytest

from tests.benchmarks.costs import Costs
from tests.benchmarks.sizing import SITE_CALLS, Sizing, largest_site, limits, number

COSTS = Costs()


def test_twice_the_calls_at_one_site_need_twice_all_but_machines_and_their_reading() -> None:
    one, two = Sizing(1000, COSTS), Sizing(2000, COSTS)
    for name in ("messages_a_s", "received_mbit", "events_a_s", "alone_cores", "kept_gb"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name))
    assert two.read_cores == pytest.approx(one.read_cores * 4, rel=0.2)
    assert one.site_machines < two.site_machines < 2 * one.site_machines


def test_what_is_beyond_a_site_is_divided_evenly() -> None:
    assert [Sizing(calls, COSTS).sites for calls in (1, SITE_CALLS, SITE_CALLS + 1)] == [1, 1, 2]
    assert Sizing(100_000, COSTS).site_calls == SITE_CALLS


def test_a_call_in_redis_is_its_start_and_end_its_readings_and_its_alerts() -> None:
    costs = replace(
        COSTS,
        call_s=100.0,
        readings_a_s=0.5,
        alerts_an_hour=36.0,
        kept_call_bytes=1000.0,
        kept_reading_bytes=200.0,
        kept_alert_bytes=700.0,
    )
    assert Sizing(1, costs).call_kb == pytest.approx(1 + 50 * 0.2 + 1 * 0.7)


def test_the_largest_site_is_the_last_that_fits() -> None:
    assert largest_site(lambda site: site.calls <= 1234, COSTS) == 1234
    assert largest_site(lambda site: False, COSTS) == 0


def test_the_advised_site_is_within_the_limits() -> None:
    """Checks all but what an operator chooses: the days for which calls are kept."""
    for name, calls in limits(COSTS):
        if not re.search("kept for|one machine|each write alone", name):
            assert calls > SITE_CALLS, name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00001, "<0.001"),
        (0.00123, "0.0012"),
        (0.5, "0.5"),
        (12.3, "12"),
        (3.0, "3"),
        (1e6, "1,000,000"),
    ],
)
def test_numbers_have_two_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
