"""Composes the command `kanjo` from its commands, each in a file of its own.

Every command imports inside its function what it needs, so that help is quick.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.cli.check_policy import check_policy
from service.cli.classify import classify
from service.cli.console import fail
from service.cli.corpus import corpus
from service.cli.demo import demo
from service.cli.encoder import encoder
from service.cli.evaluate_alerts import evaluate_alerts
from service.cli.export import export
from service.cli.loadtest import loadtest
from service.cli.login_link import login_link
from service.cli.outbox import outbox
from service.cli.replay import replay
from service.cli.report import report
from service.cli.serve import serve
from service.cli.speech_check import speech_check
from service.cli.study import study
from service.cli.token import token
from service.cli.train import train
from service.cli.version import print_version


class Commands(TyperGroup):
    """The commands; a file, folder or device that fails any of them ends it with a sentence."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was given."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever reads the output has enough
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}{error.strerror or error}")


app = typer.Typer(
    name="kanjo",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # in which the lines of a paragraph are joined
    pretty_exceptions_show_locals=False,  # a local variable may hold a secret
)


@app.callback()
def kanjo(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print name and version."
        ),
    ] = False,
) -> None:
    """Listens to live telephone calls and reports, while they last, how the caller sounds.

    To see it: `kanjo demo`. To run it: `kanjo serve`. To try a recording: `kanjo classify a.wav`.
    To make a model: `kanjo corpus`, `kanjo train`, `kanjo export`, `kanjo evaluate-alerts`.
    Settings of the service are environment variables KANJO_*, which the README lists.
    """


for command in (
    serve,
    classify,
    replay,
    loadtest,
    demo,
    login_link,
    evaluate_alerts,
    corpus,
    train,
    study,
    report,
    export,
    outbox,
    speech_check,
    encoder,
    check_policy,
):
    app.command()(command)
app.add_typer(token, name="token")
