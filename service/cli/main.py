"""The command `kanjo`. Each command imports what it needs, so that help is quick."""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from training import commands as offline

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from service.classification import AudioChannel, Classification
    from service.replay.player import ReplaySummary
    from service.settings import Settings
    from service.telephony.shared.client import AlertReceived

ANSWER_WITHIN_S = 120.0

Bridge = Literal[
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
]
ACCESS = "ClientCredentials, where the service asks for it"

app = typer.Typer(
    name="kanjo",
    help="Listens to live telephone calls and says, while they last, how the caller sounds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # there may be a secret among them
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def _say(problem: object) -> None:
    err.print(f"kanjo: {problem}", markup=False, soft_wrap=True)


def _fail(problem: object, code: int = 1) -> NoReturn:
    _say(problem)
    raise typer.Exit(code)


# ---- serve -----------------------------------------------------------------------------------


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen at.", show_default="KANJO_HOST")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen at.", show_default="KANJO_PORT")
    ] = None,
) -> None:
    """Take calls, show the dashboard, raise alerts. Settings are environment variables KANJO_*."""
    settings = _settings(host=host, port=port)
    application = _application(settings)
    server = _server(application, settings)
    # uvicorn stops in order and then raises the signal again, for whoever asked: all is well.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started or application.state.services.failed.is_set():
        raise typer.Exit(1)


def _settings(**given: object) -> "Settings":
    """From the environment, where options of the command have not been given."""
    from pydantic import ValidationError

    from service.settings import Settings

    said = {f"KANJO_{name.upper()}": str(it) for name, it in given.items() if it is not None}
    try:
        return Settings.from_env({**os.environ, **said})
    except ValidationError as invalid:
        for problem in invalid.errors(include_url=False, include_context=False):
            name = "_".join(("KANJO", *map(str, problem["loc"] or "*"))).upper()
            match problem["type"]:
                case "extra_forbidden":
                    _say(f"{name}: no such setting")  # nor is its value shown: it may be a secret
                case "value_error":  # our own sentence, which says what came
                    _say(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
                case _ if name == "KANJO_REDIS_URL":  # there may be a password in it
                    _say(f"{name}: {problem['msg']}")
                case _:
                    _say(f"{name}: got {problem['input']!r}: {problem['msg']}")
        raise typer.Exit(2) from None


def _application(settings: "Settings") -> "FastAPI":
    """Ready to be served; what stands in its way is told here, in a sentence."""
    _check_free(settings.listens_at, settings.port)

    from model.artifact import ArtifactError
    from service import logs
    from service.app import create_app
    from service.errors import KanjoError

    logs.configure(settings.log_level, settings.log_format)
    try:
        return create_app(settings)
    except (ArtifactError, KanjoError) as error:
        _fail(error)


def _server(application: "FastAPI", settings: "Settings") -> "uvicorn.Server":
    from service.server import Server

    return Server(application, settings)


def _check_free(host: str, port: int) -> None:
    """Said before the seconds that a start takes; a demo would take somebody else for its own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            _fail(f"can't listen at KANJO_HOST:KANJO_PORT {host}:{port}: {error.strerror}")


# ---- classify --------------------------------------------------------------------------------


@app.command()
def classify(
    file: Annotated[Path, typer.Argument(help="A recording: WAV, FLAC, OGG, MP3, ...")],
    url: Annotated[
        str | None,
        typer.Option(
            help="A service to ask, as http://127.0.0.1:8000.",
            show_default="the shipped model, in this process",
        ),
    ] = None,
    channel: Annotated[
        Literal["0", "1", "mix"], typer.Option(help="Which channel of a stereo recording.")
    ] = "mix",
    raw: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Say how the speaker of a recording sounds, as a whole and over time."""
    from service.cli.ribbon import answer_table, ribbon
    from service.errors import KanjoError

    try:
        answer = _ask(url, file, channel) if url else _classify(file, channel)
    except KanjoError as error:
        _fail(error)
    if raw:
        typer.echo(answer.model_dump_json())
        return
    out.print(answer_table(answer))
    for line in ribbon(answer.windows, answer.duration_s, min(out.width, 120)):
        out.print(line, no_wrap=True)


def _classify(file: Path, channel: "AudioChannel") -> "Classification":
    from model.artifact import ArtifactError
    from service.classification import BadRecording
    from service.classification import classify as classify_recording
    from service.errors import UnreadableRecording

    recording = _bytes(file)
    try:
        return classify_recording(recording, channel)
    except BadRecording as error:
        raise UnreadableRecording(file, str(error)) from error
    except ArtifactError as error:
        _fail(error)


def _ask(url: str, file: Path, channel: "AudioChannel") -> "Classification":
    import httpx
    from pydantic import ValidationError

    from service.classification import Classification
    from service.errors import ServiceRefused, ServiceUnreachable

    at = f"{url.rstrip('/')}/classify"
    files = {"file": (file.name, _bytes(file))}
    try:
        response = httpx.post(at, files=files, data={"channel": channel}, timeout=ANSWER_WITHIN_S)
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


def _bytes(file: Path) -> bytes:
    from service.errors import UnreadableRecording

    try:
        return file.read_bytes()
    except OSError as error:
        raise UnreadableRecording(file, error.strerror or str(error)) from error


# ---- replay ----------------------------------------------------------------------------------


@app.command()
def replay(
    files: Annotated[
        list[Path],
        typer.Argument(help="Recordings: mono is the caller, stereo caller left and agent right."),
    ],
    bridge: Annotated[Bridge, typer.Option(help="Call as this bridge's provider does.")] = "native",
    url: Annotated[
        str | None,
        typer.Option(
            help="Where calls are taken.",
            metavar="WS-URL",
            show_default="ws://127.0.0.1:8000/calls/BRIDGE",
        ),
    ] = None,
    calls: Annotated[
        int, typer.Option(min=1, help="Calls at a time; files are dealt round robin.")
    ] = 1,
    speed: Annotated[
        float, typer.Option(min=0.01, max=1000, help="1 is real time, 2 twice as fast.")
    ] = 1.0,
    repeat: Annotated[bool, typer.Option("--repeat", help="Begin again until Ctrl-C.")] = False,
    swap: Annotated[
        bool, typer.Option("--swap", help="Stereo is agent left and caller right.")
    ] = False,
    encoding: Annotated[
        Literal["mulaw", "alaw", "l16"] | None,
        typer.Option(
            help="How samples travel, at 8 kHz.", show_default="as is usual for the bridge"
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="REPLAY_API_KEY", help="audiohook's X-API-KEY.", rich_help_panel=ACCESS
        ),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="REPLAY_SECRET",
            help="What signs the handshake: audiohook (the client secret, base64), twilio and "
            "plivo (the auth token).",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            envvar="REPLAY_PUBLIC_URL",
            help="What is signed, where the service is known by another address.",
            metavar="WS-URL",
            show_default="--url",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            envvar="REPLAY_USER",
            help="HTTP Basic: asterisk, exotel, freeswitch, jambonz.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(envvar="REPLAY_PASSWORD", help="Goes with it.", rich_help_panel=ACCESS),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="REPLAY_TOKEN",
            help="Bearer: native, telnyx, vonage; twilio's stream parameter.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
) -> None:
    """Play recordings at a service as live calls; tell what the service told of them."""
    from service.errors import KanjoError
    from service.replay.player import ReplaySummary
    from service.replay.player import replay as play
    from service.telephony.shared.client import ClientCredentials
    from service.telephony.shared.interleaved import Encoding
    from service.telephony.shared.recording import Recording

    async def run() -> None:
        await play(
            recordings,
            url or f"ws://127.0.0.1:8000/calls/{bridge}",
            calls=calls,
            speed=speed,
            repeat=repeat,
            bridge=bridge,
            encoding=Encoding(encoding) if encoding else None,
            access=ClientCredentials(
                api_key=api_key,
                secret=secret,
                user=user,
                password=password,
                token=token,
                public_url=public_url,
            ),
            stop=_stop_on_signal(),
            summary=summary,
            on_alert=_tell,
        )

    summary = ReplaySummary()
    try:
        recordings = [Recording.read(file, swap=swap) for file in files]
        with _progress(summary):
            asyncio.run(run())
    except KanjoError as error:
        _fail(error)
    out.print(summary_table(summary))
    raise typer.Exit(1 if summary.errors else 0)


def _stop_on_signal() -> asyncio.Event:
    """Set by the first signal to end; the second one ends the hard way."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, end)
    return stop


def _tell(alert: "AlertReceived") -> None:
    if alert.state in ("firing", "resolved"):
        colour = {"anger": "dark_orange", "happiness": "green"}.get(alert.emotion, "")
        out.print(Text(f"{alert.call_id}  {alert.state:8}  ").append(alert.text, colour))


def _progress(summary: "ReplaySummary") -> Live:
    from service.telephony.shared.client import Feedback

    def line() -> str:
        told = {
            Feedback.READINGS: f"{summary.readings} readings, {summary.fired.total()} alerts, ",
            Feedback.ALERTS: f"{summary.fired.total()} alerts, ",
            Feedback.NOTHING: "",
        }[summary.ear]
        return (
            f"{summary.live} live of {summary.calls} calls, {summary.played_s:.0f} s played, "
            f"{told}{summary.errors.total()} errors"
        )

    return Live(get_renderable=line, console=err, refresh_per_second=4, transient=True)


def summary_table(summary: "ReplaySummary") -> Table:
    """What came of a replay."""
    from service.telephony.shared.client import Feedback

    def late(percent: float) -> str:
        late_s = summary.late_percentile_s(percent)
        return "none" if late_s is None else f"{late_s * 1000:.0f} ms"

    fired = ", ".join(
        f"{emotion} {count}" for emotion, count in sorted(summary.fired.items()) if count
    )
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("calls", str(summary.calls))
    table.add_row("audio", f"{summary.played_s:.1f} s")
    match summary.ear:
        case Feedback.READINGS:
            table.add_row("readings", str(summary.readings))
            table.add_row("alerts fired", fired or "none")
            table.add_row("lateness p50", late(50))
            table.add_row("lateness p95", late(95))
            table.add_row("lateness p99", late(99))
        case Feedback.ALERTS:
            table.add_row("readings", "this bridge gets none; see the dashboard")
            table.add_row("alerts fired", fired or "none that this bridge was told of")
        case Feedback.NOTHING:
            table.add_row("answers", "this bridge gets none; see the dashboard")
    table.add_row("player's own lag", f"{summary.behind_s * 1000:.0f} ms at worst")
    for code, count in sorted(summary.errors.items()):
        table.add_row(f"error {code}", Text(f"{count}, the first: {summary.reasons[code]}"))
    if not summary.errors:
        table.add_row("errors", "none")
    return table


# ---- demo ------------------------------------------------------------------------------------


@app.command()
def demo(
    calls: Annotated[int, typer.Option(min=1, help="Calls at a time.")] = 3,
    once: Annotated[bool, typer.Option("--once", help="End when the samples are over.")] = False,
) -> None:
    """Serve at KANJO_HOST:KANJO_PORT and play the bundled sample calls at it until Ctrl-C."""
    out.print("Starting the service, which takes some seconds.")
    settings = _settings()

    from service.errors import KanjoError
    from service.replay.demo import demo as play
    from service.replay.player import ReplaySummary
    from service.telephony.shared.client import ClientCredentials

    # Alerts are what is to be seen; and few calls make small batches, which are sooner warm.
    own: dict[str, Any] = {"log_level": "warning", "batch_max": min(calls, settings.batch_max)}
    settings = settings.model_copy(update=own | settings.model_dump(exclude_unset=True))
    summary = ReplaySummary()
    token = settings.native_token

    async def run() -> None:
        await play(
            server,
            calls=calls,
            repeat=not once,
            stop=_stop_on_signal(),
            summary=summary,
            on_ready=lambda url: out.print(f"{url} shows the calls; Ctrl-C ends them."),
            on_alert=_tell,
            access=ClientCredentials(token=token.get_secret_value() if token else None),
        )

    try:
        with _progress(summary):
            server = _server(_application(settings), settings)
            asyncio.run(run())
    except KanjoError as error:
        _fail(error)
    out.print(summary_table(summary))
    raise typer.Exit(1 if summary.errors else 0)


# ---- train, export ---------------------------------------------------------------------------


# ---- evaluate-alerts -------------------------------------------------------------------------


@app.command()
def evaluate_alerts(
    corpora: Annotated[
        Path,
        typer.Option(
            envvar="KANJO_CORPORA", file_okay=False, exists=True, help="Folder of corpora."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            envvar="KANJO_MODEL",
            exists=True,
            dir_okay=False,
            help="Artifact.",
            show_default="the shipped model",
        ),
    ] = None,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Page, picture and numbers; interrupted, it goes on.")
    ] = Path("runs/alerts"),
    false_per_hour: Annotated[
        float, typer.Option(min=0, help="False alerts of each emotion an hour, at most.")
    ] = 2.0,
    minutes: Annotated[float, typer.Option(min=0.5, help="Length of a call.")] = 3.0,
    calls: Annotated[int, typer.Option(min=1, help="Calls a speaker.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same calls.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    write: Annotated[
        bool, typer.Option("--write", help="Write the recommended thresholds into the model.")
    ] = False,
) -> None:
    """What an operator lives with: alerts caught, late and false, on calls of held-out speakers.

    Calls are made of speakers that the model was not trained on, and played through the service's
    own gate, windows, network and alert policy. Thresholds are chosen on validation speakers and
    tried once on test speakers.
    """
    with offline.needs_training():
        from model import SHIPPED, artifact
        from model.artifact import ArtifactError
        from model.labels import ALERTED_EMOTIONS
        from service.replay.simulation import CallSimulator
        from service.scoring.torch_scorer import NoSuchDevice
        from training.alerts import page as alerts_page
        from training.alerts.simulated_calls import CallsConfig, CallsError
        from training.alerts.thresholds import TradeoffConfig, TradeoffError, evaluate
        from training.data.manifest import ManifestError, read_corpora
        from training.data.recordings import RecordingError
    settings = _settings()
    path = model or SHIPPED
    try:
        stage = CallSimulator(
            path,
            out_folder / "readings",
            threads=threads,
            first_s=settings.first_s,
            hop_s=settings.hop_s,
            release_s=settings.release_s,
        )
        found = evaluate(
            read_corpora(corpora),
            stage,
            TradeoffConfig(
                hold_s=settings.hold_s,
                smooth_s=settings.smooth_s,
                calls=CallsConfig(minutes=minutes, calls_per_speaker=calls, seed=seed),
                false_per_hour=dict.fromkeys(ALERTED_EMOTIONS, false_per_hour),
            ),
        )
        page = alerts_page.write(found, out_folder)
        if write:
            meta = replace(
                stage.meta,
                thresholds=stage.meta.thresholds | found.thresholds,
                training=stage.meta.training | {"alerts": found.provenance},
            )
            artifact.rewrite(path, meta)
    except (
        ArtifactError,
        CallsError,
        ManifestError,
        NoSuchDevice,
        RecordingError,
        TradeoffError,
    ) as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it was", 130)
    stage.forget()
    for emotion in ALERTED_EMOTIONS:
        at = found.thresholds[emotion]
        out.print(f"{emotion}: fires at {at.fire_at:.3f}, clears below {at.clear_at:.3f}")
    out.print(f"page: {page}", markup=False)


app.registered_commands += offline.app.registered_commands

if __name__ == "__main__":
    app()
