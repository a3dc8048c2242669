"""The command `kanjo speech-check`, which trains the check for music, tones and noise."""

import random
from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import fail, out
from service.cli.options import Corpora
from service.cli.training_extra import limit_threads, needs_training


def speech_check(
    corpora: Corpora,
    to: Annotated[Path, typer.Option("--out", help="File to write.")] = Path(
        "runs/speech-check.npz"
    ),
    lost: Annotated[
        float, typer.Option(min=0, max=0.1, help="Share of speech that may be rejected.")
    ] = 0.005,
    utterances: Annotated[int, typer.Option(min=1, help="Utterances of each corpus.")] = 450,
) -> None:
    """Train the check that keeps music, tones and noise from being scored as speech.

    It needs the corpora at KANJO_CORPORA; all other sounds are made. The shares that it prints are
    of corpora and kinds of sound that the network judging them was not trained on.

    Example: KANJO_CORPORA=corpora kanjo speech-check --out model/weights/speech-check.npz
    """
    limit_threads(1)
    with needs_training():
        from model import SHIPPED
        from model.artifact import load
        from training.data.manifest import ManifestError, read_corpora
        from training.data.recordings import RecordingError
        from training.speech_check import train

    try:
        found = read_corpora(corpora)
    except ManifestError as error:
        fail(str(error))
    meta = load(SHIPPED).meta
    recordings = {}
    for corpus in sorted({utterance.corpus for utterance in found}):
        own = [utterance.path for utterance in found if utterance.corpus == corpus]
        recordings[corpus] = random.Random(0).sample(own, min(utterances, len(own)))
    if len(recordings) < 2:
        fail(f"got {len(recordings)} corpora, expected at least 2: one is left out at a time")
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        shares = train(recordings, meta.features, meta.gate, to, lost)
    except RecordingError as error:
        fail(str(error))
    for name, share in shares:
        out.print(f"{name:28} {share:7.2%} rejected")
    out.print(f"wrote {to}")
