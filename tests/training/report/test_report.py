import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.training.report.synthetic import Recipe
from training.report import Report, ReportError, build
from training.study.predictions import PredictionsError, Run

RUN = Run("combined", "compact", "both", 1.0, 1.0, fold=0, seed=0)
EMPTY = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Elements of a page; fails where they are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(whole_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build(whole_folder, tmp_path_factory.mktemp("out") / "new" / "folder", draws=30)


def test_the_page_is_well_formed_and_needs_no_other_file(report: Report) -> None:
    text = report.html.read_text()
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert not {"script", "link", "img", "iframe", "object"} & set(tags)
    assert not re.search(r"@import|url\(\s*['\"]?http", text)
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {f"#{one}" for one in ids} >= set(links)
    assert len(links) == 14
    viewport = [attrs for tag, attrs in page.elements if attrs.get("name") == "viewport"]
    assert viewport[0]["content"] == "width=device-width, initial-scale=1"
    assert tags.count("svg") == len(list(report.html.parent.glob("*.svg")))


def test_markdown_shows_pictures_that_lie_beside_it(report: Report) -> None:
    text = report.markdown.read_text()
    shown = re.findall(r"^!\[([^\]]+)\]\(([^)]+)\)$", text, re.MULTILINE)
    folder = report.markdown.parent
    assert {name for _, name in shown} == {path.name for path in folder.glob("*.svg")}
    assert all(len(alt) > 40 for alt, _ in shown)
    assert "overview.svg" in {name for _, name in shown}


def test_every_markdown_table_is_one(report: Report) -> None:
    blocks = re.findall(r"(?:^\|.*\|\n)+", report.markdown.read_text(), re.MULTILINE)
    assert len(blocks) == 17
    for block in blocks:
        head, rule, *rows = block.splitlines()
        assert re.fullmatch(r"\|( :?--:? \|)+", rule)
        assert rows
        assert {line.count("|") for line in (head, *rows)} == {rule.count("|")}
    assert not re.search(r"\n\n\n", report.markdown.read_text())


def test_both_pages_have_the_same_cells(report: Report) -> None:
    html = unescape(report.html.read_text())
    for block in re.findall(r"(?:^\|.*\|\n)+", report.markdown.read_text(), re.MULTILINE):
        for cell in re.split(r" ?\| ?", block.replace("\n", "")):
            assert re.fullmatch(":?--:?", cell) or cell in html


def test_the_summary_comes_first_with_one_table_and_one_picture(report: Report) -> None:
    first = re.split(r"^## ", report.markdown.read_text(), flags=re.MULTILINE)[1]
    assert first.startswith("Summary\n\nKanjo reaches ")
    assert first.count("\n| :--") == 1
    assert re.findall(r"\((\w+\.svg)\)", first) == ["gains.svg"]


def test_every_figure_is_there_as_json(report: Report) -> None:
    found = json.loads(report.figures.read_text())
    assert found["draws"] == 30
    best = next(row for row in found["overall"] if row["label"] == "Kanjo + past speech")
    shown = f"| Kanjo + past speech | 2 | {best['ua'] * 100:.1f} ({best['ua_low'] * 100:.1f}–"
    assert shown in report.markdown.read_text()
    assert {row["condition"] for row in found["channels"]} >= {"clean", "noise10"}


@pytest.mark.parametrize(
    ("system", "network", "trained_on", "setting"),
    [
        ("baseline", "compact", "acted", "utterance/clean"),
        ("kanjo", "compact", "both", "caller/mulaw"),
        ("egemaps-svm", "svm", "both", "corpus/clean"),
    ],
)
def test_one_finished_run_is_enough(
    tmp_path: Path, system: str, network: str, trained_on: str, setting: str
) -> None:
    run = replace(RUN, system=system, network=network, trained_on=trained_on)
    Recipe(settings=(setting,)).predictions(run).save(tmp_path / "study" / run.name)
    report = build(tmp_path / "study", tmp_path / "out", draws=10)
    Page(report.html.read_text())
    assert "No system has been trained with more than one λ." in report.markdown.read_text()


def test_a_report_can_be_remade_as_a_study_goes_on(tmp_path: Path) -> None:
    study, out = tmp_path / "study", tmp_path / "out"
    Recipe().predictions(RUN).save(study / RUN.name)
    before = build(study, out, draws=10).figures.read_text()
    more = replace(RUN, fold=1)
    Recipe().predictions(more).save(study / more.name)
    (study / "begun").mkdir()
    assert build(study, out, draws=10).figures.read_text() != before
    (study / more.name / "run.json").unlink()
    assert build(study, out, draws=10).figures.read_text() == before


def test_names_with_markup_stay_text(tmp_path: Path) -> None:
    run = replace(RUN, system="a|b<i>", network="svm")
    Recipe(settings=("corpus/clean",)).predictions(run).save(tmp_path / "study" / "run")
    report = build(tmp_path / "study", tmp_path / "out", draws=10)
    assert "<i>" not in report.html.read_text()
    assert "a\\|b&lt;i>" in report.markdown.read_text()


@pytest.mark.parametrize("draws", [-1, -1000])
def test_draws_below_zero_are_refused(tmp_path: Path, draws: int) -> None:
    with pytest.raises(ReportError, match=f"{draws} draws of the bootstrap, expected 0 or more"):
        build(tmp_path, tmp_path / "out", draws)


def test_nothing_is_written_of_a_study_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="expected a finished run"):
        build(tmp_path / "study", tmp_path / "out")
    folder = tmp_path / "study" / RUN.name
    Recipe().predictions(RUN).save(folder)
    (folder / "answers.npz").write_bytes(b"PK")
    with pytest.raises(PredictionsError, match=RUN.name):
        build(tmp_path / "study", tmp_path / "out")
    assert not (tmp_path / "out").exists()
