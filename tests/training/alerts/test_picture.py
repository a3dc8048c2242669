import json
from pathlib import Path

import pytest

from training.alerts.picture import OtherEvaluation, draw
from training.alerts.thresholds import Tradeoff, TradeoffError


def test_the_picture_has_a_panel_per_emotion_and_a_curve_per_set(
    tradeoff: Tradeoff,
) -> None:
    panels = draw(tradeoff).axes
    assert [panel.get_title() for panel in panels] == ["sounds angry", "sounds happy"]
    for panel in panels:
        curves = [line for line in panel.lines if len(line.get_xdata()) == 3]
        assert [line.get_label() for line in curves] == ["validation speakers", "test speakers"]
        assert list(curves[0].get_xdata()) == [15.0, 1.5, 0.0]
        assert list(curves[0].get_ydata()) == [0.9, 0.6, 0.1]
        marks = [line for line in panel.lines if line.get_label() == "at 0.5"]
        assert [(list(m.get_xdata()), list(m.get_ydata())) for m in marks] == [([1.5], [0.6])] * 2


def test_the_curves_of_another_evaluation_are_beside(tradeoff: Tradeoff, tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    path.write_text(json.dumps(tradeoff.as_dict()))
    other = OtherEvaluation.read(path)
    for panel in draw(tradeoff, [other]).axes:
        (line,) = (line for line in panel.lines if line.get_linestyle() == "--")
        assert line.get_label() == f"{tradeoff.model} {tradeoff.version}, test speakers"
        assert (list(line.get_xdata()), list(line.get_ydata())) == (
            [15.0, 1.5, 0.0],
            [0.9, 0.6, 0.1],
        )


@pytest.mark.parametrize("text", [None, "", "[]", '{"model": "a"}'])
def test_what_is_no_evaluation_is_refused_by_its_name(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "alerts.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(
        TradeoffError, match=f"{path}: got .*, expected an evaluation's alerts.json"
    ):
        OtherEvaluation.read(path)
