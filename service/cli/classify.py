"""Defines the command `kanjo classify`, which prints how the speakers of recordings sound."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.console import INTERRUPTED, fail, out, report_error, shown
from service.cli.environment import settings_from_environment
from service.cli.options import ModelFile

if TYPE_CHECKING:
    from model.recording import AudioChannel
    from service.classification import Classification
    from service.cli.answerers import Answerer, InProcess
    from service.cli.answers_csv import AnswersCsv

MAX_COLUMNS = 120  # of the ribbon


def classify(
    given: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Recordings, or folders of them: WAV, FLAC, OGG, MP3, ...; 8 to 48 kHz, mono or "
            "stereo.",
        ),
    ],
    model: ModelFile = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="A service that classifies them, as http://127.0.0.1:8000; where access is "
            "closed, KANJO_TOKEN has an API token of the role operator.",
            show_default="this process",
        ),
    ] = None,
    channel: Annotated[
        Literal["0", "1", "mix"] | None,
        typer.Option(
            help="Channel of a stereo recording: 0 is left, 1 right, mix the mean.",
            show_default="the caller's, KANJO_CLASSIFY_CALLER_CHANNEL",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="CSV",
            dir_okay=False,
            help="Append the answers to this table, a row a recording.",
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--json", help="Print JSON: a line a recording.")] = False,
) -> None:
    """Print how the speakers of recordings sound, each as a whole and over time.

    A recording is cut into windows as a live call is. Of a single one a table and a ribbon are
    printed: a letter of the ribbon is a stretch of time, A sounds angry, H happy; brighter is more
    probable; blank is silence. Of several, and of folders with all that is in them, a line each.

    A recording that can't be read is named with the reason; the others go on, and the exit status
    is 1. With `--csv` an interrupted command goes on where it was when it is given again.

    Example: kanjo classify call.wav --channel 0

    Example: kanjo classify recordings/ --csv answers.csv
    """
    from service.cli.answerers import AtService
    from service.cli.answers_csv import AnswersCsv
    from service.cli.recordings import find_recordings
    from service.errors import KanjoError

    if url and model:
        raise typer.BadParameter("got --url and --model, expected one: a service has its own model")
    found = find_recordings(given)
    found.report()
    single = found.files == given
    tally = Tally(unanswered=len(found.problems))
    try:
        with ExitStack() as stack:
            answers = stack.enter_context(AnswersCsv(table)) if table else None
            answerer = stack.enter_context(AtService(url)) if url else _in_process(model)
            if raw:
                show = _show_json if single else _show_named_json
            elif table:
                show = _show_nothing
            else:
                show = _show_page if single else _show_line
            _classify_all(found.files, channel, answerer, answers, show, tally, bar=not single)
    except KanjoError as error:
        fail(error)
    except KeyboardInterrupt:
        goes_on = f"; {table} has them, and the same command goes on" if table else ""
        fail(f"interrupted after {tally.answered} recordings{goes_on}", INTERRUPTED)
    if table and not raw:
        out.print(f"{shown(table)}: {tally.answered} more answers", markup=False, soft_wrap=True)
    raise typer.Exit(1 if tally.unanswered else 0)


@dataclass(slots=True)
class Tally:
    """Counts the recordings of one command, also of an interrupted one."""

    answered: int = 0
    unanswered: int = 0


def _in_process(model: Path | None) -> "InProcess":
    """Returns the model in this process, with the service's settings; fails if it is unusable."""
    settings = settings_from_environment(model=model)

    from model.artifact import ArtifactError
    from service.classification import Classifier
    from service.cli.answerers import InProcess

    try:
        classifier = Classifier.load(
            settings.model,
            device=settings.device,
            threads=settings.torch_threads,
            first_s=settings.first_s,
            hop_s=settings.hop_s,
            gated=settings.gate,
            caller=settings.classify_caller_channel,
        )
    except ArtifactError as error:
        fail(error)
    return InProcess(classifier)


def _classify_all(
    files: "Sequence[Path]",
    channel: "AudioChannel | None",
    answerer: "Answerer",
    answers: "AnswersCsv | None",
    show: "Callable[[Path, Classification], None]",
    tally: Tally,
    *,
    bar: bool,
) -> None:
    """Classifies what `answers` does not have yet; reports which recordings can't be and why.

    Raises:
        ServiceUnreachable: nothing answers.
        UnusableTable: an answer can't be kept.
    """
    from service.errors import ServiceRefused, UnreadableRecording
    from training.progress import ProgressBar

    waiting = [
        file for file in files if not (answers and answers.has(file, channel, answerer.model))
    ]
    if len(waiting) < len(files):
        report_error(f"{len(files) - len(waiting)} of {len(files)} are answered already")
    with ExitStack() as stack:
        progress = (
            stack.enter_context(ProgressBar("recordings", len(waiting)))
            if bar and waiting
            else None
        )
        for file in waiting:
            try:
                answer = answerer.answer(file, channel)
            except (ServiceRefused, UnreadableRecording) as error:
                named = isinstance(error, UnreadableRecording)
                report_error(error if named else f"{file}: {error}")
                tally.unanswered += 1
            else:
                if answers:
                    answers.add_answer(file, channel, answer)
                tally.answered += 1
                show(file, answer)
            if progress:
                progress.advance()


def _show_json(file: Path, answer: "Classification") -> None:
    """Prints an answer as one line of JSON."""
    typer.echo(answer.model_dump_json())


def _show_named_json(file: Path, answer: "Classification") -> None:
    """Prints an answer with the recording's name as one line of JSON."""
    typer.echo(json.dumps({"file": shown(file), **answer.model_dump(mode="json")}))


def _show_nothing(file: Path, answer: "Classification") -> None:
    """Prints nothing: the answer is in the table."""


def _show_line(file: Path, answer: "Classification") -> None:
    """Prints an answer and the recording's name in one line."""
    from service.cli.ribbon import summary

    out.print(f"{summary(answer)}  {shown(file)}", markup=False, soft_wrap=True)


def _show_page(file: Path, answer: "Classification") -> None:
    """Prints an answer as a table, a ribbon and an axis."""
    from service.cli.ribbon import answer_table, ribbon

    out.print(answer_table(answer))
    for line in ribbon(answer.windows, answer.duration_s, min(out.width, MAX_COLUMNS)):
        out.print(line, no_wrap=True)
