"""Defines the command `kanjo demo`, which serves, and plays bundled sample calls at the service."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.application import create_application
from service.cli.console import fail, out
from service.cli.environment import settings_from_environment
from service.cli.replay_output import live_progress, print_alert, summary_table
from service.cli.signals import stop_on_signal

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.settings import Settings


def demo(
    calls: Annotated[int, typer.Option(min=1, help="Calls at the same time.")] = 3,
    once: Annotated[
        bool, typer.Option("--once", help="End after each sample call was played once.")
    ] = False,
) -> None:
    """Serve, and play the bundled sample calls at the service until Ctrl-C.

    The service listens at KANJO_HOST:KANJO_PORT, as `kanjo serve` does; the dashboard's address is
    printed when it is ready, after some seconds.

    Example: KANJO_PORT=9000 kanjo demo --once
    """
    out.print("Starting the service, which takes some seconds.")
    settings = settings_from_environment()

    from service.errors import KanjoError
    from service.replay.demo import demo as play
    from service.replay.summary import ReplaySummary
    from service.server import Server
    from service.telephony.shared.client import ClientCredentials

    # Logs would hide the alerts, and few calls need no large batches, which take long to warm up.
    own: dict[str, Any] = {"log_level": "warning", "batch_max": min(calls, settings.batch_max)}
    settings = settings.model_copy(update=own | settings.model_dump(exclude_unset=True))
    summary = ReplaySummary()

    async def run() -> None:
        await play(
            server,
            calls=calls,
            repeat=not once,
            stop=stop_on_signal(),
            summary=summary,
            on_ready=lambda url: out.print(
                f"{link or url} shows the calls; Ctrl-C ends them.", markup=False, soft_wrap=True
            ),
            on_alert=print_alert,
            credentials=ClientCredentials(token=token),
        )

    try:
        with live_progress(summary):
            application = create_application(settings)
            server = Server(application, settings)
            token, link = _credentials(application, settings)
            asyncio.run(run())
    except KanjoError as error:
        fail(error)
    out.print(summary_table(summary))
    raise typer.Exit(1 if summary.errors else 0)


def _credentials(application: "FastAPI", settings: "Settings") -> tuple[str | None, str | None]:
    """Returns a token for the demo's calls and a login link, each where one is needed.

    Raises:
        AccessUnusable: access is closed, and no link can be kept.
    """
    from service.access.login import LINK_VALID_S, login_url
    from service.access.roles import Role
    from service.access.setup import base_url, database_of

    token = link = None
    if not application.state.services.access.open:
        token = application.state.process_tokens.issue("demo", Role.BRIDGE)
        code = database_of(settings).create_link("demo", Role.OPERATOR, LINK_VALID_S)
        link = login_url(base_url(settings), code)
    if settings.native_token:
        token = settings.native_token.get_secret_value()
    return token, link
