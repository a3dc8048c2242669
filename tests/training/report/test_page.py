import pandas as pd

from training.report.page import difference, interval, percent, points, probability


def test_figures_are_written_in_per_cent_with_their_interval() -> None:
    row = pd.Series({"ua": 0.62749, "ua_low": 0.5806, "ua_high": 0.66, "wa": 0.5})
    assert interval(row, "ua") == "62.7 (58.1–66.0)"
    assert interval(row.replace(0.5806, float("nan")), "ua") == "62.7"
    assert interval(row * float("nan"), "ua") == "–"
    assert percent(1.0) == "100.0"


def test_differences_have_their_sign() -> None:
    row = pd.Series({"difference": -0.012, "difference_low": -0.05, "difference_high": 0.0261})
    assert difference(row) == "−1.2 (−5.0 to +2.6)"
    assert difference(row * float("nan")) == "–"


def test_p_is_never_smaller_than_the_draws_can_show() -> None:
    assert probability(2 / 1001, 1000) == "≤ 0.002"
    assert probability(0.0312, 1000) == "0.031"
    assert probability(float("nan"), 1000) == "–"


def test_the_paper_s_differences_have_its_digits() -> None:
    assert points(0.0285, 2) == "+2.85"
    assert points(-0.0022, 2) == "−0.22"
    assert points(float("nan"), 2) == "–"
