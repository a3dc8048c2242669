from training.alerts.picture import draw
from training.alerts.thresholds import Tradeoff


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
