"""Defines the command `kanjo train`, which trains a network on corpora."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service.cli.console import INTERRUPTED, fail, out
from service.cli.options import Cache, Corpora, EncoderFile
from service.cli.training_extra import limit_threads, needs_training

# The paper's systems as settings of a training; its baseline is combined, on corpora of one style.
SYSTEMS: dict[str, dict[str, Any]] = {
    "combined": {"ser_weight": 1.0, "selective": False},
    "mtl": {"selective": False},
    "selective-mtl": {"selective": True},
}


def train(
    corpora: Corpora,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder of the checkpoints and the log.")
    ] = Path("runs/train"),
    cache: Cache = Path("var/cache"),
    encoder: EncoderFile = None,
    recipe: Annotated[
        Literal["paper", "compact", "kanjo", "encoder", "base", "distilled"],
        typer.Option(
            help="The paper's, the same on a small network, kanjo-compact's; on embeddings "
            "(with --encoder) the paper's and kanjo-base's; kanjo-compact's, distilled "
            "(with --teacher)."
        ),
    ] = "kanjo",
    teacher: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            exists=True,
            help="Network of which another is distilled: a best.pt of the recipe base, or a "
            "model, trained on the same corpora and fold.",
        ),
    ] = None,
    system: Annotated[
        Literal["combined", "mtl", "selective-mtl"],
        typer.Option(
            help="The paper's systems; its baseline is combined, on corpora of one style."
        ),
    ] = "selective-mtl",
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Passes over the training data.",
            show_default="the recipe's, more with few utterances",
        ),
    ] = None,
    test_fold: Annotated[
        int, typer.Option(min=0, help="Number of the fold of speakers that is held out.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="one a core")
    ] = None,
) -> None:
    """Train a network on corpora (needs the extra `training`).

    An interrupted training goes on from its last epoch when the command is given again.

    Example: kanjo train --corpora corpora --out runs/mine
    """
    limit_threads(threads)
    with needs_training():
        from model.encoder import EncoderFileError
        from training.checkpoint import CheckpointError
        from training.data.manifest import ManifestError
        from training.data.recordings import RecordingError
        from training.data.splits import SplitError
        from training.recipes import RECIPES
        from training.teacher import TeacherError
        from training.train import main
    config = replace(RECIPES[recipe], test_fold=test_fold, seed=seed, **SYSTEMS[system])
    if epochs:
        config = replace(config, epochs=epochs, least_updates=0)  # as many, with few utterances too
    try:
        best = main(config, corpora, out_folder, cache, encoder, teacher)
    except (
        CheckpointError,
        EncoderFileError,
        ManifestError,
        RecordingError,
        SplitError,
        TeacherError,
    ) as error:
        fail(error)
    except KeyboardInterrupt:
        last = out_folder / "last.pt"
        if last.exists():
            fail(f"interrupted; the same command goes on from {last}", INTERRUPTED)
        fail("interrupted before the first epoch ended; the same command begins again", INTERRUPTED)
    out.print(f"best checkpoint: {best}", markup=False)
