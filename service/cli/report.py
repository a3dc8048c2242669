"""Defines the command `kanjo report`, which writes the pages of a study."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import fail, out
from service.cli.training_extra import needs_training


def report(
    study_folder: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY", exists=True, file_okay=False, help="Folder that `study` wrote to."
        ),
    ],
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the pages.", show_default="STUDY/report"),
    ] = None,
    draws: Annotated[
        int, typer.Option(min=0, help="Draws of the bootstrap over speakers; 0 for none.")
    ] = 1000,
) -> None:
    """Write a study's tables and pictures as one HTML page and in Markdown (extra `training`).

    Example: kanjo report runs/compact
    """
    with needs_training():
        from training.report import ReportError, build
        from training.study.predictions import PredictionsError
    try:
        pages = build(study_folder, out_folder or study_folder / "report", draws)
    except (PredictionsError, ReportError) as error:
        fail(error)
    out.print(f"{pages.html}\n{pages.markdown}", markup=False)
