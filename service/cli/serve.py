"""Defines the command `kanjo serve`, which runs the service."""

import signal
from contextlib import suppress
from typing import Annotated

import typer

from service.cli.application import create_application
from service.cli.environment import settings_from_environment


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen at.", show_default="KANJO_HOST"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="TCP port to listen at.", show_default="KANJO_PORT")
    ] = None,
) -> None:
    """Take calls, show the dashboard, raise alerts.

    All other settings are environment variables KANJO_*; the README lists them with their units
    and defaults. SIGTERM or Ctrl-C lets live calls end first, a second Ctrl-C ends them.

    Example: KANJO_HOP_S=0.5 kanjo serve --port 9000
    """
    settings = settings_from_environment(host=host, port=port)
    application = create_application(settings)

    from service.server import Server

    server = Server(application, settings)
    # uvicorn shuts down in order and then raises the signal again, which is not a failure.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started or application.state.services.failed.is_set():
        raise typer.Exit(1)
