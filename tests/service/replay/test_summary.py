from array import array

import pytest

from service.replay.summary import ReplaySummary


@pytest.mark.parametrize(
    ("end_s", "late_s"),
    [
        (0.02, 9.0),  # the last sample of frame 0, which was sent at 1
        (0.020125, 8.0),  # the first sample of frame 1, which was sent at 2
        (0.04, 8.0),
        (0.06, 7.0),
        (0.0, 9.0),
        (0.061, 7.0),  # rounded up by the service
    ],
)
def test_lateness_counts_from_the_frame_with_the_last_sample(end_s: float, late_s: float) -> None:
    summary = ReplaySummary()
    summary.add_reading(end_s, 10.0, array("d", [1.0, 2.0, 3.0]))
    assert list(summary.late_s) == [late_s]


def test_lateness_percentiles_are_those_of_all_readings() -> None:
    summary = ReplaySummary(late_s=array("d", [n / 100 for n in range(101)]))
    assert summary.late_percentile_s(50) == pytest.approx(0.5)
    assert summary.late_percentile_s(99) == pytest.approx(0.99)
    assert ReplaySummary().late_percentile_s(50) is None
