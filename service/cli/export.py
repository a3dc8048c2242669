"""Defines the command `kanjo export`, which turns a training's checkpoint into an artifact."""

import subprocess
from contextlib import suppress
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import fail, out

THRESHOLDS_HELP = "Probability at or above which an alert fires, and below which it clears."


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="Checkpoint that `train` wrote, as best.pt."
        ),
    ],
    artifact: Annotated[
        Path, typer.Argument(help="File to write, which a service loads (KANJO_MODEL).")
    ],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[str, typer.Option(help="Version of the model.")],
    licence: Annotated[
        str, typer.Option(help="Licence of the weights, which depends on the corpora.")
    ],
    encoder: Annotated[
        Path | None,
        typer.Option(
            envvar="KANJO_ENCODER",
            exists=True,
            dir_okay=False,
            help="File of the encoder, for a network that was trained on its embeddings.",
        ),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(
            help="Commit that trained the model.",
            show_default="that of Kanjo's checkout, or its version",
        ),
    ] = None,
    anger: Annotated[
        tuple[float, float], typer.Option(metavar="FIRE CLEAR", help=THRESHOLDS_HELP)
    ] = (0.7, 0.5),
    happiness: Annotated[
        tuple[float, float], typer.Option(metavar="FIRE CLEAR", help=THRESHOLDS_HELP)
    ] = (0.7, 0.5),
) -> None:
    """Turn a checkpoint into an artifact, and check that both give the same posteriors.

    `kanjo evaluate-alerts --write` replaces the thresholds by measured ones.

    Example: kanjo export runs/mine/best.pt mine.pt --name mine --version 1 --licence ours
    """
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
            commit=commit or _own_commit(),
            licence=licence,
            thresholds=thresholds,
            encoder=encoder,
        )
    except ExportError as error:
        fail(error)
    out.print(f"{artifact}: {meta.name} {meta.version}", markup=False)


def _own_commit() -> str:
    """Returns the commit of Kanjo's own checkout, or its version where it is installed without one.

    The working directory is not asked: it may be a checkout of something else.
    """
    root = Path(__file__).parents[2]
    if (root / ".git").exists():
        asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
        with suppress(OSError, subprocess.CalledProcessError):
            return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return f"kanjo {version_of('kanjo')}"
