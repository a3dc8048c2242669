"""A study's figures as one page: `kanjo report STUDY --out FOLDER`.

Everything is computed from the predictions of finished runs (training/study/predictions.py).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from model.files import atomic_write
from training.report import prose
from training.report.results import ReportError, Study
from training.report.sections import sections
from training.report.statistics import measure

__all__ = ["Report", "ReportError", "build"]

TITLE = "Kanjo: the study"


@dataclass(frozen=True, slots=True)
class Report:
    """The files of a report."""

    html: Path  # everything in one file
    markdown: Path  # its pictures are files beside it
    figures: Path  # every number, as JSON


def build(study: Path, out: Path, draws: int = 1000) -> Report:
    """Writes `report.html`, `report.md` with its pictures, and `figures.json`.

    Raises:
        ReportError: no run has finished, runs contradict each other, or `draws` is negative.
        PredictionsError: a run cannot be read.
    """
    if draws < 0:
        raise ReportError(f"{draws} draws of the bootstrap, expected 0 or more")
    loaded = Study.load(study)
    figures = measure(loaded, draws)
    done = list(sections(loaded, figures, draws))
    out.mkdir(parents=True, exist_ok=True)
    for picture in (picture for section in done for picture in section.pictures):
        _write(out / f"{picture.name}.svg", picture.svg)
    for name in ("report.html", "report.md"):
        _write(out / name, prose.page(name, title=TITLE, sections=done))
    records = json.dumps({"draws": draws, **figures.as_records()}, indent=1, allow_nan=False)
    _write(out / "figures.json", records + "\n")
    return Report(
        html=out / "report.html",
        markdown=out / "report.md",
        figures=out / "figures.json",
    )


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
