import json
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from model.labels import ALERTED_EMOTIONS, EMOTIONS, Emotion
from training.alerts.page import draw, markdown, write
from training.alerts.simulated_calls import Skipped
from training.alerts.thresholds import (
    PARTS,
    AlertFigures,
    CallOutcome,
    EmotionFindings,
    Participants,
    ThresholdRule,
    Tradeoff,
    TradeoffConfig,
    figures,
)

ANGER, HAPPINESS, SADNESS, NEUTRAL = EMOTIONS
CHOSEN = ThresholdRule(0.5, 0.375, 2.5, 3.0)


def point(fire_at: float, caught: int, false: int) -> AlertFigures:
    calls = [
        (
            "a",
            1.0,
            CallOutcome(10, (3.0,) * caught, 4, 1, caught + false, Counter({SADNESS: false})),
        ),
        ("b", 1.0, CallOutcome(0, (), 0, 0, 0, Counter())),
    ]
    return figures(replace(CHOSEN, fire_at=fire_at), calls, draws=100)


@pytest.fixture
def tradeoff() -> Tradeoff:
    curve = [point(0.3, 9, 30), point(0.5, 6, 3), point(0.9, 1, 0)]
    cast = Participants(
        speakers={"stage": 2},
        skipped=[Skipped("stage", "cyd", "no recordings")],
        missing={"stage/b": [HAPPINESS]},
        calls=8,
        hours=2.0,
        said=dict.fromkeys(EMOTIONS, 70),
        distinct=dict.fromkeys(EMOTIONS, 7),
    )
    findings = EmotionFindings(
        chosen=CHOSEN,
        curve=dict.fromkeys(PARTS, curve),
        at_chosen=dict.fromkeys(PARTS, curve[1]),
        as_found=dict.fromkeys(PARTS, point(0.62, 4, 1)),
        corpora=dict.fromkeys(PARTS, {"stage": curve[1]}),
        others=[replace(curve[1], rule=ThresholdRule(0.65, 0.48, 1.0, 1.5))],
    )
    return Tradeoff(
        model="kanjo-tiny",
        version="1.2.3",
        config=TradeoffConfig(hold_s=2.5, smooth_s=3.0),
        cast=dict.fromkeys(PARTS, cast),
        emotions=dict.fromkeys(ALERTED_EMOTIONS, findings),
    )


def rows(page: str, first_cell: str) -> list[list[str]]:
    lines = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|"))
    return [cells for cells in lines if cells[0] == first_cell]


def test_the_page_tells_what_was_chosen_and_what_it_is_worth(tradeoff: Tradeoff) -> None:
    page = markdown(tradeoff)
    assert page.startswith("# Alerts of kanjo-tiny 1.2.3\n")
    for sounds in ("sounds angry", "sounds happy"):
        valid, test = rows(page, sounds)
        assert valid[:4] == [sounds, "0.5", "0.375", "validation"]
        assert test[3] == "test"
        assert test[4].startswith("60 % (")
        assert test[6] == "3.0 s (3.0–3.0)"
        assert test[7].startswith("1.5 (")
        assert test[8].startswith("67 % (")
    assert "](alerts.svg)" in page


def test_the_page_has_the_other_thresholds_settings_and_corpora(tradeoff: Tradeoff) -> None:
    page = markdown(tradeoff)
    assert len(rows(page, "**0.5**")) == 4  # two emotions, two parts
    assert rows(page, "0.3")[0][-1] == "30 sadness"
    assert rows(page, "0.9")[0][-1] == "none"
    assert len(rows(page, "0.62, below 0.375")) == 4
    assert rows(page, "stage")[0][-1] == "1 of 4"
    assert rows(page, "1")[0][1:3] == ["1.5", "0.65"]


def test_the_page_says_who_could_not_be_heard_and_what_was_heard_again(tradeoff: Tradeoff) -> None:
    page = markdown(tradeoff)
    assert "No calls could be made of: stage/cyd (no recordings)." in page
    assert "Too little was recorded for episodes of: stage/b (happiness)." in page
    assert "neutral 70, 7" in page


def test_every_table_is_whole(tradeoff: Tradeoff) -> None:
    table: list[int] = []
    for line in [*markdown(tradeoff).splitlines(), ""]:
        if line.startswith("|"):
            table.append(line.count("|"))
        else:
            assert len(set(table)) <= 1
            table = []


def test_where_there_is_nothing_to_tell_there_is_a_dash(tradeoff: Tradeoff) -> None:
    nothing = figures(CHOSEN, [("a", 1.0, CallOutcome(0, (), 0, 0, 0, Counter()))], draws=10)
    one = replace(tradeoff.emotions[ANGER], corpora=dict.fromkeys(PARTS, {"street": nothing}))
    page = markdown(replace(tradeoff, emotions={ANGER: one}))
    street = rows(page, "street")[0]
    assert street[3:9] == ["0", "–", "–", "–", "0.0", "–"]


def test_the_picture_has_a_panel_an_emotion_and_a_line_a_part(tradeoff: Tradeoff) -> None:
    panels = draw(tradeoff).axes
    assert [panel.get_title() for panel in panels] == ["sounds angry", "sounds happy"]
    for panel in panels:
        curves = [line for line in panel.lines if len(line.get_xdata()) == 3]
        assert [line.get_label() for line in curves] == ["validation speakers", "test speakers"]
        assert list(curves[0].get_xdata()) == [15.0, 1.5, 0.0]
        assert list(curves[0].get_ydata()) == [0.9, 0.6, 0.1]
        marks = [line for line in panel.lines if line.get_label() == "at 0.5"]
        assert [(list(m.get_xdata()), list(m.get_ydata())) for m in marks] == [([1.5], [0.6])] * 2


def test_page_picture_and_numbers_are_written(tradeoff: Tradeoff, tmp_path: Path) -> None:
    folder = tmp_path / "alerts"
    page = write(tradeoff, folder)
    assert page == folder / "alerts.md"
    assert page.read_text() == markdown(tradeoff) + "\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        "alerts.json",
        "alerts.md",
        "alerts.svg",
    ]
    assert ET.parse(folder / "alerts.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    read = json.loads((folder / "alerts.json").read_text())
    assert read["emotions"]["anger"]["chosen"]["fire_at"] == 0.5
    assert set(read["emotions"]) == {Emotion.ANGER, Emotion.HAPPINESS}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write(tradeoff, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
