"""Options that several commands have, and the bridges that `replay` offers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from model import MODELS, SHIPPED, model_file
from service import telephony

# The providers that `replay` can play: the folders of the table in service/telephony/providers.py,
# which is not imported here, because its clients import numpy and help must be quick.
_ROWS = Path(telephony.__file__).parent.glob("*/provider.py")
BRIDGES = tuple(sorted(row.parent.name for row in _ROWS if row.parent.name != "shared"))
if TYPE_CHECKING:
    Bridge = str
else:
    Bridge = Literal[BRIDGES]  # of which typer makes the choices of an option

Corpora = Annotated[
    list[Path],
    typer.Option(
        envvar="KANJO_CORPORA",
        file_okay=False,
        exists=True,
        help="Folder of prepared corpora, a folder with a manifest.csv each; may be repeated, and "
        "KANJO_CORPORA may name several, separated by a colon.",
    ),
]
OptionalCorpora = Annotated[
    list[Path] | None,
    typer.Option(
        envvar="KANJO_CORPORA",
        file_okay=False,
        exists=True,
        help="Folder of prepared corpora, a folder with a manifest.csv each; may be repeated, and "
        "KANJO_CORPORA may name several, separated by a colon.",
    ),
]


def _model_file(given: str) -> Path:
    """Returns the file of a model given by its name or path; it must be there."""
    path = model_file(given)
    if not path.is_file():
        raise typer.BadParameter(f"no file {given!r}, expected {', '.join(MODELS)} or a path")
    return path


ModelFile = Annotated[
    Path | None,
    typer.Option(
        "--model",
        parser=_model_file,
        metavar="MODEL",
        help=f"Artifact of the model: {', '.join(MODELS)}, or a path.",
        show_default=f"KANJO_MODEL, or {SHIPPED.stem.removeprefix('kanjo-')}",
    ),
]
Cache = Annotated[
    Path, typer.Option(help="Folder of computed features; later runs on the same corpora use them.")
]
EncoderFile = Annotated[
    Path | None,
    typer.Option(
        "--encoder",
        envvar="KANJO_ENCODER",
        dir_okay=False,
        exists=True,
        help="Pretrained encoder, for models on embeddings: a file of `kanjo encoder`.",
    ),
]
