import json
from collections import Counter

import pytest

from service.loadtest.tally import Tally, percentile


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 3.0), (95, 5.0), (20, 1.0), (21, 2.0), (0, 1.0), (100, 5.0)]
)
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], percent) == expected


def test_without_values_there_is_no_percentile() -> None:
    assert percentile([], 95) is None


def test_frames_are_counted_by_how_late_they_were() -> None:
    tally = Tally()
    for behind_s in [0.0005] * 98 + [0.04, 9.0]:
        tally.add_frame(behind_s)
    assert tally.frames == 100
    assert tally.behind_percentile_s(98) == 0.001
    assert tally.behind_percentile_s(99) == 0.05
    assert tally.behind_percentile_s(100) == 5.0  # the last edge
    assert Tally().behind_percentile_s(99) == 0.0


def test_tallies_add_up_but_for_what_is_live() -> None:
    first = Tally(1.0, 40, 40, frames=3, late_s=[0.5], words=Counter({"full": 1}))
    first.add(Tally(1.0, 38, 2, 4, frames=2, late_s=[0.7], words=Counter({"full": 2})))
    assert (first.seconds, first.live, first.started, first.ended) == (2.0, 38, 42, 4)
    assert (first.frames, first.late_s, first.words) == (5, [0.5, 0.7], {"full": 3})


def test_a_tally_comes_back_from_json() -> None:
    tally = Tally(1.5, 7, refused=2, refused_after_s=[0.1], words=Counter({"full": 2}))
    tally.add_frame(0.02)
    assert Tally.from_json(json.loads(json.dumps(tally.to_json()))) == tally
