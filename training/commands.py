"""The offline half of the command `kanjo`: from corpora to an artifact and a report.

Each command imports what it needs, so that help is quick.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

app = typer.Typer()
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Corpora = Annotated[
    Path,
    typer.Option(envvar="KANJO_CORPORA", file_okay=False, exists=True, help="Folder of corpora."),
]
Cache = Annotated[Path, typer.Option(help="Features, made once.")]
# The paper's systems; its baseline is combined, on the corpora of one style.
SYSTEMS: dict[str, dict[str, Any]] = {
    "combined": {"ser_weight": 1.0, "selective": False},
    "mtl": {"selective": False},
    "selective-mtl": {"selective": True},
}


def _fail(problem: object, code: int = 1) -> NoReturn:
    err.print(f"kanjo: {problem}", markup=False, soft_wrap=True)
    raise typer.Exit(code)


@contextmanager
def needs_training() -> Iterator[None]:
    """Around imports that only the extra `training` satisfies."""
    try:
        yield
    except ModuleNotFoundError as missing:
        _fail(f"no module {missing.name!r}: training needs `pip install 'kanjo[training]'`")


def _threads(threads: int | None) -> None:
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when it is imported


@app.command()
def corpus(
    name: Annotated[str, typer.Argument(help="Which: --list says what there is.")] = "",
    folder: Annotated[
        Path | None, typer.Argument(exists=True, file_okay=False, help="As it was distributed.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of corpora: what KANJO_CORPORA points to."),
    ] = None,
    called: Annotated[
        str | None, typer.Option("--as", help="What the corpus is called.", show_default="NAME")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Table of a call centre's utterances.",
            show_default="the only CSV there",
        ),
    ] = None,
    backchannels: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="What neutral utterances are dropped for, one a line.",
            show_default="the paper's, and noise",
        ),
    ] = None,
    neutral: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Neutral utterances that are drawn.",
            show_default="2,000 of a call centre, else all",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of that draw.")] = 0,
    list_all: Annotated[bool, typer.Option("--list", help="Say what there is.")] = False,
) -> None:
    """Read a corpus as it is distributed: 8 kHz utterances, a manifest, what was left out."""
    with needs_training():
        from training.corpora import READERS
        from training.corpora.preparation import prepare
        from training.corpora.source import CorpusError
    if list_all:
        out.print("\n".join(sorted(READERS)), markup=False)
        return
    if name not in READERS:
        raise typer.BadParameter(f"got {name!r}, expected one of {', '.join(sorted(READERS))}")
    if folder is None or to is None:
        raise typer.BadParameter("got no FOLDER or no --out, expected both")
    try:
        report = prepare(
            name,
            folder,
            to,
            corpus=called,
            labels=labels,
            backchannels=backchannels,
            neutral=neutral,
            seed=seed,
        )
    except CorpusError as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it was", 130)
    out.print(report.summary(), markup=False)


@app.command()
def train(
    corpora: Corpora,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Checkpoints and log; an interrupted training goes on.")
    ] = Path("runs/train"),
    cache: Cache = Path("var/cache"),
    recipe: Annotated[
        Literal["paper", "compact", "kanjo"],
        typer.Option(help="The paper's, the same on a small network, or the shipped model's."),
    ] = "kanjo",
    system: Annotated[
        Literal["combined", "mtl", "selective-mtl"],
        typer.Option(help="As in the paper; its baseline is combined, on corpora of one style."),
    ] = "selective-mtl",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Times that all data is seen.", show_default="the recipe's"),
    ] = None,
    test_fold: Annotated[int, typer.Option(min=0, help="Which speakers are held out.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="one a core")
    ] = None,
) -> None:
    """Train a network on corpora (needs the extra `training`)."""
    _threads(threads)
    with needs_training():
        from training.checkpoint import CheckpointError
        from training.data.manifest import ManifestError
        from training.data.recordings import RecordingError
        from training.data.splits import SplitError
        from training.recipes import RECIPES
        from training.train import main
    config = replace(RECIPES[recipe], test_fold=test_fold, seed=seed, **SYSTEMS[system])
    if epochs:
        config = replace(config, epochs=epochs)
    try:
        best = main(config, corpora, out_folder, cache)
    except (CheckpointError, ManifestError, RecordingError, SplitError) as error:
        _fail(error)
    except KeyboardInterrupt:
        last = out_folder / "last.pt"
        if last.exists():
            _fail(f"interrupted; the same command goes on from {last}", 130)
        _fail("interrupted before the first epoch ended; the same command begins again", 130)
    out.print(f"best checkpoint: {best}", markup=False)


@app.command()
def study(
    config: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A study's TOML: training/studies.")
    ],
    corpora: Corpora,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Where it is kept.", show_default="runs/NAME of the study"),
    ] = None,
    cache: Cache = Path("var/cache"),
    processes: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time.", show_default="one a core")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each.")] = 1,
) -> None:
    """Train and test systems x folds x seeds; stopped in any way, the same command goes on."""
    _threads(threads)
    with needs_training():
        from training.data.manifest import ManifestError
        from training.study.plan import StudyConfig, StudyError
        from training.study.run import study as carry_out
    try:
        what = StudyConfig.from_toml(config)
        folder = out_folder or Path("runs") / what.name
        outcome = carry_out(what, corpora, folder, cache, processes=processes, threads=threads)
    except (ManifestError, StudyError) as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it was", 130)
    if outcome.failed:
        failed = ", ".join(run.name for run in outcome.failed)
        _fail(f"failed: {failed}; error.txt in each one's folder says why")
    out.print(f"next: kanjo report {folder}", markup=False)


@app.command()
def report(
    study_folder: Annotated[
        Path,
        typer.Argument(metavar="STUDY", exists=True, file_okay=False, help="A study's folder."),
    ],
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Where the pages go.", show_default="STUDY/report"),
    ] = None,
    draws: Annotated[int, typer.Option(min=0, help="Of the bootstrap over speakers.")] = 1000,
) -> None:
    """The tables and pictures of a study, as one HTML page and the same in Markdown."""
    with needs_training():
        from training.report import ReportError, build
        from training.study.predictions import PredictionsError
    try:
        made = build(study_folder, out_folder or study_folder / "report", draws)
    except (PredictionsError, ReportError) as error:
        _fail(error)
    out.print(f"{made.html}\n{made.markdown}", markup=False)


@app.command()
def export(
    checkpoint: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="What a training wrote: best.pt.")
    ],
    artifact: Annotated[Path, typer.Argument(help="The file that a service loads.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[str, typer.Option(help="Version of the model.")],
    licence: Annotated[str, typer.Option(help="Licence of the weights, which the corpora decide.")],
    commit: Annotated[
        str | None, typer.Option(help="Commit that trained it.", show_default="the checkout's")
    ] = None,
    anger: Annotated[
        tuple[float, float],
        typer.Option(metavar="FIRE CLEAR", help="An alert fires at or above, clears below."),
    ] = (0.7, 0.5),
    happiness: Annotated[
        tuple[float, float],
        typer.Option(metavar="FIRE CLEAR", help="An alert fires at or above, clears below."),
    ] = (0.7, 0.5),
) -> None:
    """Turn a checkpoint into an artifact, if that answers like the checkpoint."""
    from model.artifact import Thresholds
    from model.export import ExportError
    from model.export import export as export_artifact
    from model.labels import Emotion

    thresholds = {}
    for emotion, (fire_at, clear_at) in (
        (Emotion.ANGER, anger),
        (Emotion.HAPPINESS, happiness),
    ):
        if not 0 <= clear_at <= fire_at <= 1:
            raise typer.BadParameter(
                f"got {fire_at} {clear_at}, expected 0 <= CLEAR <= FIRE <= 1",
                param_hint=f"--{emotion}",
            )
        thresholds[emotion] = Thresholds(fire_at, clear_at)
    try:
        meta = export_artifact(
            checkpoint,
            artifact,
            name=name,
            version=version,
            commit=commit or _checkout(),
            licence=licence,
            thresholds=thresholds,
        )
    except ExportError as error:
        _fail(error)
    out.print(f"{artifact}: {meta.name} {meta.version}", markup=False)


def _checkout() -> str:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        _fail("this is no git checkout: say --commit", 2)
    return found.stdout.strip()
