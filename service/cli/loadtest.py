"""Defines the command `kanjo loadtest`, which finds how many calls a service holds."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.console import INTERRUPTED, err, fail, out, report_error, shown
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
from service.cli.signals import stop_on_signal

if TYPE_CHECKING:
    from service.loadtest.result import Result

MOST_RECORDINGS = 400  # that are read
FRAMES_MS = (10, 200)


def _arrivals(given: str) -> float | None:
    """Returns calls a second; None is all at once."""
    if given == "all":
        return None
    try:
        rate = float(given)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 10_000:
        raise typer.BadParameter(f"got {given!r}, expected all or calls a second")
    return rate


def _steps(given: str | None) -> tuple[int, ...]:
    """Returns numbers of calls, ascending; none, if none were given."""
    if given is None:
        return ()
    try:
        steps = tuple(int(word) for word in given.split(","))
    except ValueError:
        steps = ()
    if not steps or steps[0] < 1 or any(a >= b for a, b in zip(steps, steps[1:], strict=False)):
        raise typer.BadParameter(f"got {given!r}, expected ascending numbers: 10,20,40")
    return steps


def loadtest(
    url: Annotated[
        str | None,
        typer.Option(
            help="Where the calls connect to, at a service that runs; unless given, one is started "
            "on this machine, with a Redis of its own and the settings of the environment.",
            metavar="WS-URL",
            show_default=False,
        ),
    ] = None,
    bridge: Annotated[
        Bridge, typer.Option(help="The bridge that is called, as its provider calls it.")
    ] = "native",
    speech: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Recordings whose callers' utterances are said, or a folder of them; may be "
            "repeated.",
            show_default="the sample calls",
        ),
    ] = None,
    talk: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the time in which a caller speaks.")
    ] = 0.45,
    frame_ms: Annotated[
        int, typer.Option(min=FRAMES_MS[0], max=FRAMES_MS[1], help="Audio in a message, ms.")
    ] = 20,
    encoding: Annotated[
        Literal["mulaw", "alaw", "l16"] | None,
        typer.Option(help="Encoding of the samples, at 8 kHz.", show_default="the bridge's usual"),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Numbers of calls to try, instead of --start and --factor.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[int, typer.Option(min=1, help="Calls of the first step.")] = 10,
    factor: Annotated[
        float, typer.Option(min=1.01, max=10, help="By which each step is more than the last.")
    ] = 1.25,
    hold: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds for which a step is measured.")
    ] = 30.0,
    settle: Annotated[
        float,
        typer.Option(min=0, max=3600, help="Longest time before that, until it is steady, s."),
    ] = 30.0,
    arrivals: Annotated[
        str, typer.Option(metavar="all|RATE", help="New calls a second, or all at once.")
    ] = "20",
    call: Annotated[
        float,
        typer.Option(min=5, max=86_400, help="Mean seconds of a call, which another replaces."),
    ] = 180.0,
    bound: Annotated[
        float,
        typer.Option(min=0.01, max=60, help="p95 of lateness stays below it, s."),
    ] = 1.0,
    overload: Annotated[
        bool, typer.Option(help="After the steps, half as many calls again as were held.")
    ] = True,
    soak: Annotated[
        float, typer.Option(min=0, max=100_000, help="Minutes at 80 % of the capacity, after that.")
    ] = 0.0,
    audit: Annotated[
        bool, typer.Option(help="At the end, look for what the service keeps of calls.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is drawn.")] = 0,
    redis: Annotated[
        str | None,
        typer.Option(
            metavar="REDIS-URL",
            help="Redis of the service that is started: it gets the calls of the test.",
            show_default="a redis-server of its own, if there is one",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Metrics of the service at --url.",
            show_default="/metrics of the same host",
        ),
    ] = None,
    metrics_token: Annotated[
        str | None,
        typer.Option(
            envvar="KANJO_METRICS_TOKEN",
            help="Token that may read them; without it KANJO_TOKEN.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder of result.json, .md and .svg.")
    ] = Path("loadtest"),
    api_key: ApiKey = None,
    secret: SigningSecret = None,
    public_url: PublicUrl = None,
    user: BasicUser = None,
    password: BasicPassword = None,
    token: BearerToken = None,
) -> None:
    """Find how many calls a service holds, and what happens beyond that.

    Calls say real utterances, in real time. Steps of more and more calls are held until an
    objective is broken: the 95th percentile of lateness, from the end of speech to its reading,
    stays below the bound, nothing is dropped, no call is refused or ended. Then comes an overload,
    a soak where one is asked for, and an audit of what the service keeps. A step does not count
    where the calls' generator, a process of its own, was late itself. Ctrl-C keeps what was
    measured. The exit status is 1 if no step held, or anything after the steps broke an objective.

    Example: kanjo loadtest --bridge twilio --start 50 --soak 30
    """
    from service.cli.loadtest_output import progress_bar, result_table
    from service.cli.recordings import find_recordings
    from service.errors import KanjoError, UnreadableRecording
    from service.loadtest.generator_settings import GeneratorSettings
    from service.loadtest.objectives import Limits
    from service.loadtest.plan import Plan
    from service.loadtest.session import load_test
    from service.loadtest.table import sentences
    from service.replay.demo import SAMPLES
    from service.telephony.shared.recording import Recording

    numbers, rate = _steps(steps), _arrivals(arrivals)
    found = find_recordings(speech or SAMPLES)
    found.report()
    files = found.files[:: -(-len(found.files) // MOST_RECORDINGS) or 1]
    readable = []
    for file in files:
        try:
            Recording.read(file)
            readable.append(str(file.resolve()))
        except UnreadableRecording as error:
            report_error(error)
    if not readable:
        raise typer.Exit(1)
    folder.mkdir(parents=True, exist_ok=True)
    settings = GeneratorSettings(
        url or "",
        tuple(readable),
        bridge,
        encoding,
        talk,
        frame_ms,
        rate,
        call,
        seed,
        client_credentials(bridge, api_key, secret, user, password, token, public_url),
    )
    plan = Plan(
        numbers,
        start,
        factor,
        hold,
        settle,
        talk,
        overload=overload,
        soak_minutes=soak,
        audit=audit,
        arrivals=rate,
        limits=Limits(late_s=bound),
    )

    async def run() -> "Result":
        with progress_bar() as progress:
            return await load_test(
                plan,
                settings,
                folder,
                url=url,
                metrics=metrics,
                metrics_token=metrics_token or os.environ.get("KANJO_TOKEN"),
                redis_url=redis,
                stop=stop_on_signal(),
                progress=progress,
            )

    try:
        result = asyncio.run(run())
    except KanjoError as error:
        fail(error)
    out.print(result_table(result))
    for sentence in sentences(result):
        out.print(sentence, markup=False, soft_wrap=True)
    err.print(f"{shown(folder)}: result.json, result.md, result.svg", markup=False, soft_wrap=True)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(1 if result.failed else 0)
