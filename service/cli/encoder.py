"""Defines the command `kanjo encoder`, which takes the speech encoder out of a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import fail, out


def encoder(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="model.safetensors of openai/whisper-base, or a part of it with the same names.",
        ),
    ],
    to: Annotated[Path, typer.Option("--out", help="File to write.")] = Path(
        "whisper-base-encoder.safetensors"
    ),
    layers: Annotated[
        int, typer.Option(min=1, max=6, help="Transformer layers to keep, from the first.")
    ] = 3,
) -> None:
    """Take the speech encoder out of a Whisper checkpoint, and check the copy.

    The file has the first layers in half precision. KANJO_ENCODER names it to the trainings that
    need it. Nothing is downloaded.

    Example: kanjo encoder whisper-base/model.safetensors --out encoder.safetensors
    """
    from model.encoder import EncoderFileError, load_encoder, save_encoder
    from model.encoder_config import WHISPER_BASE, EncoderConfig

    config = EncoderConfig(outputs=tuple(range(1, layers + 1)))
    try:
        original = load_encoder(checkpoint, config)
        to.parent.mkdir(parents=True, exist_ok=True)
        save_encoder(original, to)
        copy = load_encoder(to, config)
    except EncoderFileError as error:
        fail(error)
    if copy.digest() != original.digest():
        to.unlink()
        fail(
            f"{to}: weights {copy.digest()[:16]}, expected {original.digest()[:16]}: disk at fault?"
        )
    weights = sum(parameter.numel() for parameter in copy.parameters())
    out.print(
        f"{to}: {layers} layers, {weights:,} weights, {to.stat().st_size / 1e6:.1f} MB, "
        f"weights {copy.digest()[:16]}",
        markup=False,
    )
    if copy.digest() != WHISPER_BASE.get(layers, copy.digest()):
        out.print(
            f"note: these are not the weights of openai/whisper-base, {WHISPER_BASE[layers][:16]}",
            markup=False,
        )
