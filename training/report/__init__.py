"""A study's figures as one page: `kanjo report STUDY --out FOLDER`.

Reads nothing but what finished runs answered (training/study/predictions.py).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tqdm import tqdm

from training.report.results import ReportError, Study
from training.report.sections import sections
from training.report.statistics import measure

__all__ = ["Report", "ReportError", "build"]

TITLE = "Kanjo: the study"


@dataclass(frozen=True, slots=True)
class Report:
    """Where it was written."""

    html: Path  # everything in one file
    markdown: Path  # its pictures lie beside it
    figures: Path  # every number, as JSON


def build(study: Path, out: Path, draws: int = 1000) -> Report:
    """Writes `report.html`, `report.md` with its pictures, and `figures.json`.

    Raises:
        ReportError: no run has finished, runs contradict each other, or `draws` is negative.
        AnswersError: a run can't be read.
    """
    if draws < 0:
        raise ReportError(f"{draws} draws of the bootstrap, expected 0 or more")
    loaded = Study.load(study)
    figures = measure(loaded, draws)
    parts = list(tqdm(sections(loaded, figures, draws), "sections", unit="section"))
    out.mkdir(parents=True, exist_ok=True)
    for picture in (picture for part in parts for picture in part.pictures):
        (out / f"{picture.name}.svg").write_text(picture.svg, encoding="utf-8")
    for name in ("report.html", "report.md"):
        page = _pages().get_template(f"{name}.jinja").render(title=TITLE, sections=parts)
        (out / name).write_text(page, encoding="utf-8")
    records = json.dumps({"draws": draws, **figures.as_records()}, indent=1, allow_nan=False)
    (out / "figures.json").write_text(records + "\n", encoding="utf-8")
    return Report(
        html=out / "report.html",
        markdown=out / "report.md",
        figures=out / "figures.json",
    )


def _pages() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
