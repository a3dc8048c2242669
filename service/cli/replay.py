"""Defines the command `kanjo replay`, which plays recordings at a service as live calls."""

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.console import fail, out, report_error
from service.cli.credentials import (
    ApiKey,
    BasicPassword,
    BasicUser,
    BearerToken,
    PublicUrl,
    SigningSecret,
    client_credentials,
)
from service.cli.options import Bridge
from service.cli.replay_output import live_progress, print_alert, summary_table
from service.cli.signals import stop_on_signal


def replay(
    given: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Recordings, or folders of them: mono is the caller, stereo caller left and agent "
            "right.",
        ),
    ],
    bridge: Annotated[
        Bridge, typer.Option(help="The bridge that is called, as its provider calls it.")
    ] = "native",
    url: Annotated[
        str | None,
        typer.Option(
            help="Where the calls connect to; unless given, /calls/BRIDGE on this machine at "
            "KANJO_PORT or 8000.",
            metavar="WS-URL",
            show_default=False,
        ),
    ] = None,
    calls: Annotated[
        int,
        typer.Option(min=1, help="Calls at the same time; the recordings are dealt round robin."),
    ] = 1,
    speed: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=1000,
            help="1 is real time, 2 twice as fast; the service allows KANJO_MAX_SPEED.",
        ),
    ] = 1.0,
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Start over after the last recording, until Ctrl-C.")
    ] = False,
    swap: Annotated[
        bool, typer.Option("--swap", help="Stereo is agent left and caller right.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="CSV",
            dir_okay=False,
            help="Append the readings to this table, a row each; the bridge native gets them.",
        ),
    ] = None,
    encoding: Annotated[
        Literal["mulaw", "alaw", "l16"] | None,
        typer.Option(help="Encoding of the samples, at 8 kHz.", show_default="the bridge's usual"),
    ] = None,
    api_key: ApiKey = None,
    secret: SigningSecret = None,
    public_url: PublicUrl = None,
    user: BasicUser = None,
    password: BasicPassword = None,
    token: BearerToken = None,
) -> None:
    """Play recordings at a service as live calls; print the alerts, then a summary.

    The summary's lateness is the time from the sending of a window's last sample to the arrival
    of its reading. Ctrl-C hangs the calls up. A recording that can't be read is named with the
    reason, and the others are played. With `--csv` readings are kept in a table. The exit status
    is 1 if there were errors.

    Example: kanjo replay call.wav --calls 20 --bridge twilio
    """
    from service.cli.csv_table import UnusableTable
    from service.cli.readings_csv import ReadingsCsv
    from service.cli.recordings import find_recordings
    from service.errors import KanjoError, UnreadableRecording
    from service.replay.player import CLIENTS
    from service.replay.player import replay as play
    from service.replay.summary import ReplaySummary
    from service.telephony.shared.client import Feedback, ReadingReceived
    from service.telephony.shared.interleaved import Encoding
    from service.telephony.shared.recording import Recording

    if table and CLIENTS[bridge].feedback is not Feedback.READINGS:
        getting = ", ".join(n for n, c in CLIENTS.items() if c.feedback is Feedback.READINGS)
        raise typer.BadParameter(f"got --csv with the bridge {bridge}, expected {getting}")

    async def run() -> None:
        stop = stop_on_signal()

        def keep(recording: Recording, reading: ReadingReceived) -> None:
            if readings and not unkept and recording.path:
                try:
                    readings.add_reading(recording.path, reading)
                except UnusableTable as error:
                    unkept.append(error)
                    stop.set()

        await play(
            recordings,
            url or f"ws://127.0.0.1:{os.environ.get('KANJO_PORT', '8000')}/calls/{bridge}",
            calls=calls,
            speed=speed,
            repeat=repeat,
            bridge=bridge,
            encoding=Encoding(encoding) if encoding else None,
            credentials=client_credentials(
                bridge, api_key, secret, user, password, token, public_url
            ),
            stop=stop,
            summary=summary,
            on_alert=print_alert,
            on_reading=keep,
        )

    found = find_recordings(given)
    found.report()
    recordings: list[Recording] = []
    summary = ReplaySummary()
    unkept: list[UnusableTable] = []
    try:
        for file in found.files:
            try:
                recordings.append(Recording.read(file, swap=swap))
            except UnreadableRecording as error:
                report_error(error)
        if not recordings:
            raise typer.Exit(1)
        with ExitStack() as stack:
            readings = stack.enter_context(ReadingsCsv(table)) if table else None
            stack.enter_context(live_progress(summary))
            asyncio.run(run())
    except KanjoError as error:
        fail(error)
    out.print(summary_table(summary))
    if unkept:
        fail(unkept[0])
    whole = len(recordings) == len(found.files) and not found.problems
    raise typer.Exit(1 if summary.errors or not whole else 0)
