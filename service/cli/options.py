"""Options that several commands have, and the bridges that `replay` offers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

# The bridges whose provider can be played. It repeats the names of the providers, because their
# clients import numpy, and help must be quick; a test holds it to them.
BRIDGES = (
    "native",
    "audiohook",
    "twilio",
    "freeswitch",
    "jambonz",
    "asterisk",
    "vonage",
    "telnyx",
    "plivo",
    "exotel",
)
if TYPE_CHECKING:
    Bridge = str
else:
    Bridge = Literal[BRIDGES]  # of which typer makes the choices of an option

Corpora = Annotated[
    Path,
    typer.Option(
        envvar="KANJO_CORPORA",
        file_okay=False,
        exists=True,
        help="Folder of prepared corpora, a folder with a manifest.csv each.",
    ),
]
Cache = Annotated[
    Path, typer.Option(help="Folder of computed features; later runs on the same corpora use them.")
]
