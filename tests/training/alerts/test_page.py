import json
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path

from model.labels import EMOTIONS, Emotion
from tests.training.alerts.rules import CHOSEN
from training.alerts.callers import HELD_OUT_SETS
from training.alerts.matching import MatchedAlerts
from training.alerts.page import markdown, write
from training.alerts.performance import (
    MatchedCall,
    alert_performance,
)
from training.alerts.thresholds import Tradeoff

ANGER, HAPPINESS, SADNESS, NEUTRAL = EMOTIONS


def rows(page: str, first_cell: str) -> list[list[str]]:
    lines = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|"))
    return [cells for cells in lines if cells[0] == first_cell]


def test_the_page_shows_the_chosen_thresholds_and_how_well_they_do(tradeoff: Tradeoff) -> None:
    page = markdown(tradeoff)
    assert page.startswith(
        "# Alerts of kanjo-tiny 1.2.3\n\nOn calls of test speakers, alerts of anger catch 60 % ("
    )
    for sounds in ("sounds angry", "sounds happy"):
        valid, test = rows(page, sounds)
        assert valid[:4] == [sounds, "0.5", "0.375", "validation"]
        assert test[3] == "test"
        assert test[4].startswith("60 % (")
        assert test[6] == "3.0 s (3.0–3.0)"
        assert test[7].startswith("1.5 (")
        assert test[8].startswith("67 % (")
    assert "\n\n\n" not in page
    assert "](alerts.svg)" in page


def test_the_page_has_the_other_thresholds_settings_and_corpora(tradeoff: Tradeoff) -> None:
    page = markdown(tradeoff)
    assert len(rows(page, "**0.5**")) == 4  # two emotions, two sets of speakers
    assert rows(page, "0.3")[0][-1] == "30 sadness"
    assert rows(page, "0.9")[0][-1] == "none"
    assert len(rows(page, "0.62, below 0.375")) == 4
    assert rows(page, "stage")[0][-1] == "1 of 4"
    assert rows(page, "1")[0][1:3] == ["1.5", "0.65"]


def test_the_page_names_excluded_speakers_and_repeated_utterances(
    tradeoff: Tradeoff,
) -> None:
    page = markdown(tradeoff)
    assert "No calls could be made of: stage/cyd (no recordings)." in page
    assert "Too little was recorded for episodes of: stage/b (happiness)." in page
    assert "neutral 70, 7" in page


def test_every_row_of_a_table_has_all_its_cells(tradeoff: Tradeoff) -> None:
    table: list[int] = []
    for line in [*markdown(tradeoff).splitlines(), ""]:
        if line.startswith("|"):
            table.append(line.count("|"))
        else:
            assert len(set(table)) <= 1
            table = []


def test_a_figure_of_nothing_is_a_dash(tradeoff: Tradeoff) -> None:
    silent = MatchedCall("a", 1.0, MatchedAlerts(0, (), 0, 0, 0, Counter()))
    nothing = alert_performance(CHOSEN, [silent], draws=10)
    one = replace(
        tradeoff.emotions[ANGER], corpora=dict.fromkeys(HELD_OUT_SETS, {"street": nothing})
    )
    page = markdown(replace(tradeoff, emotions={ANGER: one}))
    street = rows(page, "street")[0]
    assert street[3:9] == ["0", "–", "–", "–", "0.0", "–"]


def test_page_picture_and_numbers_are_written(tradeoff: Tradeoff, tmp_path: Path) -> None:
    folder = tmp_path / "alerts"
    page = write(tradeoff, folder)
    assert page == folder / "alerts.md"
    assert page.read_text() == markdown(tradeoff)
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
