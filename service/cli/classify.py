"""The command `kanjo classify`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.console import fail, out

if TYPE_CHECKING:
    from model.recording import AudioChannel
    from service.classification import Classification

TIMEOUT_S = 120.0  # of each step of a request to a service
MAX_COLUMNS = 120  # of the ribbon


def classify(
    file: Annotated[
        Path,
        typer.Argument(help="A recording: WAV, FLAC, OGG, MP3, ...; 8 to 48 kHz, mono or stereo."),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            help="A service that classifies it, as http://127.0.0.1:8000.",
            show_default="the shipped model, in this process",
        ),
    ] = None,
    channel: Annotated[
        Literal["0", "1", "mix"] | None,
        typer.Option(
            help="Channel of a stereo recording: 0 is left, 1 right, mix the mean.",
            show_default="the caller's, KANJO_CLASSIFY_CALLER_CHANNEL",
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Print how the speaker of a recording sounds, as a whole and over time.

    The recording is cut into windows as a live call is. A letter of the ribbon is a stretch of
    time: A sounds angry, H happy; brighter is more probable; blank is silence.

    Example: kanjo classify call.wav --channel 0
    """
    from service.cli.ribbon import answer_table, ribbon
    from service.errors import KanjoError

    try:
        answer = _by_service(url, file, channel) if url else _in_process(file, channel)
    except KanjoError as error:
        fail(error)
    if raw:
        typer.echo(answer.model_dump_json())
        return
    out.print(answer_table(answer))
    for line in ribbon(answer.windows, answer.duration_s, min(out.width, MAX_COLUMNS)):
        out.print(line, no_wrap=True)


def _in_process(file: Path, channel: "AudioChannel | None") -> "Classification":
    """Raises UnreadableRecording; fails if the shipped model is not usable."""
    from model.artifact import ArtifactError
    from model.containers import BadRecording
    from service.classification import classify as classify_recording
    from service.errors import UnreadableRecording

    caller = os.environ.get("KANJO_CLASSIFY_CALLER_CHANNEL", "0").strip()
    if caller not in ("0", "1"):
        fail(f"KANJO_CLASSIFY_CALLER_CHANNEL: got {caller!r}, expected 0 or 1", 2)
    recording = _read(file)
    try:
        return classify_recording(recording, channel, caller=int(caller))
    except BadRecording as error:
        raise UnreadableRecording(file, str(error)) from error
    except ArtifactError as error:
        fail(error)


def _by_service(url: str, file: Path, channel: "AudioChannel | None") -> "Classification":
    """Posts the recording to a service.

    Raises:
        UnreadableRecording: the file can't be read.
        ServiceUnreachable: nothing answered, or not with a classification.
        ServiceRefused: the service answered with an HTTP error.
    """
    import httpx
    from pydantic import ValidationError

    from service.classification import Classification
    from service.errors import ServiceRefused, ServiceUnreachable

    at = f"{url.rstrip('/')}/classify"
    files = {"file": (file.name, _read(file))}
    try:
        response = httpx.post(
            at, files=files, data={"channel": channel} if channel else {}, timeout=TIMEOUT_S
        )
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise ServiceUnreachable(at, str(error) or type(error).__name__) from error
    if response.status_code != 200:
        raise ServiceRefused.from_body(at, response.status_code, response.content)
    try:
        return Classification.model_validate_json(response.content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ServiceUnreachable(
            at, f"the answer is no classification: {where}: {first['msg']}"
        ) from error


def _read(file: Path) -> bytes:
    """Raises UnreadableRecording."""
    from service.errors import UnreadableRecording

    try:
        return file.read_bytes()
    except OSError as error:
        raise UnreadableRecording(file, error.strerror or str(error)) from error
