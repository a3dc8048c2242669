"""Defines the command `kanjo study`, which trains and tests the systems of a study."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import INTERRUPTED, fail, out
from service.cli.options import Cache, Corpora, EncoderFile
from service.cli.training_extra import limit_threads, needs_training


def study(
    config: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="TOML file of a study, as in training/studies."
        ),
    ],
    corpora: Corpora,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the runs.", show_default="runs/ and the study's name"
        ),
    ] = None,
    cache: Cache = Path("var/cache"),
    encoder: EncoderFile = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at the same time.", show_default="one a core"),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each run.")] = 1,
) -> None:
    """Train and test the systems of a study: each system x folds x seeds (extra `training`).

    A study that was stopped, in whatever way, goes on when the command is given again.

    Example: kanjo study training/studies/compact.toml --out runs/compact
    """
    limit_threads(threads)
    with needs_training():
        from training.data.manifest import ManifestError
        from training.study.plan import StudyConfig, StudyError
        from training.study.run import study as run_study
    try:
        plan = StudyConfig.from_toml(config)
        folder = out_folder or Path("runs") / plan.name
        outcome = run_study(plan, corpora, folder, cache, processes, threads, encoder)
    except (ManifestError, StudyError) as error:
        fail(error)
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on where it was", INTERRUPTED)
    if outcome.failed:
        failed = ", ".join(run.name for run in outcome.failed)
        fail(f"failed: {failed}; error.txt in each one's folder says why")
    out.print(f"next: kanjo report {folder}", markup=False)
