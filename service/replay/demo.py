"""Runs the service and its sample calls in one process: a demonstration without a telephone."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import uvicorn

from service.errors import KanjoError, ServiceFailed, ServiceUnreachable
from service.replay.player import replay
from service.replay.summary import ReplaySummary
from service.telephony.shared.client import NO_CREDENTIALS, AlertReceived, ClientCredentials
from service.telephony.shared.recording import Recording

# The first one raises the first alert.
SAMPLES = tuple(
    Path(__file__).with_name("samples") / f"{name}.flac"
    for name in ("sounds-angry", "sounds-angry-once", "neutral")
)
READY_WITHIN_S = 60.0


class ServiceEnded(KanjoError):
    """The demo's own service ended although nothing had stopped it."""

    def __str__(self) -> str:
        return "the service ended by itself, expected it to last; its log gives the reason"


async def demo(
    server: uvicorn.Server,
    *,
    calls: int,
    repeat: bool,
    stop: asyncio.Event,
    summary: ReplaySummary,
    on_ready: Callable[[str], None],
    on_alert: Callable[[AlertReceived], None],
    credentials: ClientCredentials = NO_CREDENTIALS,
    samples: Sequence[Path] = SAMPLES,
    ready_within_s: float = READY_WITHIN_S,
) -> None:
    """Runs `server` and plays `samples` at it until they are over or `stop` is set.

    The server runs in a thread, where uvicorn installs no signal handlers: on a signal the calls
    hang up before the server stops.

    Args:
        on_ready: called with the dashboard's URL when the service takes calls.
        ready_within_s: longest time from the start until the service is ready.

    Raises:
        UnreadableRecording: a sample call is missing or no recording.
        ServiceUnreachable: the service did not get ready; the text states why.
        ServiceEnded: the service ended by itself.
    """
    host, port = server.config.host, server.config.port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    serving = asyncio.create_task(asyncio.to_thread(_serve, server))
    serving.add_done_callback(lambda _: stop.set())
    try:
        recordings = await asyncio.to_thread(lambda: [Recording.read(path) for path in samples])
        if await _ready(f"http://{address}/readyz", stop, ready_within_s):
            on_ready(f"http://{address}/")
            await replay(
                recordings,
                f"ws://{address}/calls/native",
                calls=calls,
                repeat=repeat,
                stop=stop,
                summary=summary,
                on_alert=on_alert,
                credentials=credentials,
            )
        if serving.done():
            raise ServiceEnded
    except ServiceFailed as error:
        if server.should_exit:  # it was stopping when it was called
            raise ServiceEnded from error
        raise
    finally:
        server.should_exit = True
        await serving


def _serve(server: uvicorn.Server) -> None:
    with suppress(SystemExit):  # uvicorn raises it if the start fails, after logging why
        server.run()


async def _ready(url: str, stop: asyncio.Event, within_s: float) -> bool:
    """Polls until the service takes calls; returns False if `stop` is set first.

    Raises:
        ServiceUnreachable: the service is not ready within `within_s`.
    """
    problem = "no answer yet"
    last_s = asyncio.get_running_loop().time() + within_s
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        while not stop.is_set():
            try:
                answer = await client.get(url)
                if answer.status_code == 200:
                    return True
                problem = answer.text
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            if asyncio.get_running_loop().time() > last_s:
                raise ServiceUnreachable(
                    url, f"not ready within {within_s:.0f} s, at last: {problem}"
                )
            await asyncio.sleep(0.1)
    return False
