import pytest
from rich.console import Console

from model.labels import EMOTIONS, Emotion, Style
from service.classification import Classification, ModelAnswer, WindowAnswer
from service.cli.ribbon import answer_table, axis, ribbon
from tests.service.cli.command import printed


def window(start_s: float, end_s: float, **probabilities: float) -> WindowAnswer:
    full = {emotion: probabilities.get(emotion, 0.0) for emotion in EMOTIONS}
    return WindowAnswer(start_s=start_s, end_s=end_s, probabilities=full)


ANSWER = Classification(
    emotion=Emotion.ANGER,
    probabilities=dict(zip(EMOTIONS, (0.83, 0.02, 0.05, 0.1), strict=True)),
    style={Style.ACTED: 0.2, Style.SPONTANEOUS: 0.8},
    duration_s=4.0,
    speech_s=2.5,
    windows=[window(1.0, 3.0, anger=0.83)],
    model=ModelAnswer(name="compact", version="7"),
)
NO_SPEECH = Classification(
    emotion=None,
    probabilities=None,
    style=None,
    duration_s=4.0,
    speech_s=0.0,
    windows=[],
    model=ModelAnswer(name="compact", version="7"),
)


def test_the_answer_shows_how_the_speaker_sounds() -> None:
    text = printed(answer_table(ANSWER))
    for shown in (
        "sounds angry (0.83)",
        "neutral 0.10, sad 0.05, happy 0.02",
        "spontaneous (0.80)",
        "4.0 s",
        "2.5 s",
        "compact 7",
    ):
        assert shown in text


def test_an_answer_without_speech_names_no_emotion() -> None:
    text = printed(answer_table(NO_SPEECH))
    assert "no speech found" in text
    assert "sounds" not in text


def test_the_ribbon_shows_each_stretch_of_time_in_its_cells() -> None:
    windows = [
        window(0.0, 2.0, neutral=0.7, anger=0.3),
        window(0.0, 3.0, anger=0.6, neutral=0.4),
        window(5.0, 7.0, happiness=0.9),
        window(7.0, 9.0, sadness=0.9),
    ]
    cells, _, legend = ribbon(windows, 10.0, 10)
    assert cells.plain == "··A  HH·· "
    assert legend.plain.startswith("A angry   H happy   · neither   blank: silence")


def test_the_ribbon_takes_windows_in_any_order_and_none_at_all() -> None:
    windows = [window(0, 1, anger=1), window(1, 2, happiness=1), window(2, 3, neutral=1)]
    assert ribbon(windows[::-1], 3.0, 3)[0].plain == "AH·"
    assert ribbon([], 3.0, 3)[0].plain == "   "
    assert ribbon([], 0.0, 3)[0].plain == "   "


def test_brighter_is_more_probable() -> None:
    def colour(probability: float) -> tuple[int, int, int]:
        (span,) = ribbon([window(0, 1, anger=probability)], 1.0, 1)[0].spans
        background = Console().get_style(str(span.style)).bgcolor
        assert background is not None
        assert background.triplet is not None
        return background.triplet

    faint, strong = colour(0.3), colour(0.9)
    assert all(weak < full for weak, full in zip(faint[:2], strong[:2], strict=True))
    assert strong[0] > strong[1] > strong[2]  # orange


@pytest.mark.parametrize(
    ("duration_s", "columns", "line"),
    [
        (10.0, 40, "0:00    0:02    0:04    0:06    0:08"),
        (60.0, 24, "0:00        0:30"),
        (7200.0, 16, "0:00    60:00"),
        (0.0, 20, "0:00"),
    ],
)
def test_the_axis_has_room_between_its_labels(duration_s: float, columns: int, line: str) -> None:
    assert axis(duration_s, columns) == line


@pytest.mark.parametrize("duration_s", [0.3, 1.0, 9.99, 61, 3599, 86_400, 1e6])
@pytest.mark.parametrize("columns", [8, 33, 120])
def test_the_axis_is_never_wider_than_the_ribbon(duration_s: float, columns: int) -> None:
    line = axis(duration_s, columns)
    assert len(line) <= columns
    assert line.startswith("0:00")
