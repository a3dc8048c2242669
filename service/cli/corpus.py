"""Defines the command `kanjo corpus`, which prepares a corpus for training."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import INTERRUPTED, fail, out
from service.cli.training_extra import needs_training


def corpus(
    name: Annotated[str, typer.Argument(help="The corpus; --list prints the known names.")] = "",
    folder: Annotated[
        Path | None,
        typer.Argument(
            exists=True, file_okay=False, help="Folder of the corpus, laid out as distributed."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of corpora to write to; KANJO_CORPORA of `train`."),
    ] = None,
    called: Annotated[
        str | None,
        typer.Option("--as", help="Name that the prepared corpus gets.", show_default="NAME"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Table of a call centre's utterances.",
            show_default="the only CSV in FOLDER",
        ),
    ] = None,
    backchannels: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="List of words, one a line; neutral utterances of nothing else are dropped.",
            show_default="the paper's, and noise",
        ),
    ] = None,
    neutral: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Number of neutral utterances, drawn at random.",
            show_default="2,000 of a call centre, else all",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of that draw.")] = 0,
    list_all: Annotated[
        bool, typer.Option("--list", help="Print the names of the corpora that can be read.")
    ] = False,
) -> None:
    """Prepare a corpus for training: 8 kHz utterances, a manifest, a report of what is left out.

    An interrupted preparation goes on where it was when the command is given again.

    Example: kanjo corpus iemocap IEMOCAP_full_release --out corpora
    """
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
        fail(error)
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on where it was", INTERRUPTED)
    out.print(report.summary(), markup=False)
