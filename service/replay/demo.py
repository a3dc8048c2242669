"""The service and its sample calls in one process: something to see without a telephone."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import uvicorn

from service.errors import KanjoError, ServiceFailed, ServiceUnreachable
from service.replay.player import ReplaySummary, replay
from service.telephony.shared.client import NO_CREDENTIALS, AlertReceived, ClientCredentials
from service.telephony.shared.recording import Recording

# The first call is the one with the first alert.
SAMPLES = tuple(
    Path(__file__).with_name("samples") / f"{name}.flac"
    for name in ("sounds-angry", "sounds-angry-once", "neutral")
)
READY_WITHIN_S = 60.0


class ServiceEnded(KanjoError):
    """The service ended though nobody had asked it to."""

    def __str__(self) -> str:
        return "the service ended by itself, expected it to last; its log says why"


async def demo(
    server: uvicorn.Server,
    *,
    calls: int,
    repeat: bool,
    stop: asyncio.Event,
    summary: ReplaySummary,
    on_ready: Callable[[str], None],
    on_alert: Callable[[AlertReceived], None],
    access: ClientCredentials = NO_CREDENTIALS,
) -> None:
    """Plays the samples at a server of its own until they are over or `stop` is set.

    The server has a thread to itself, where it leaves the signals to us: calls hang up first.

    Raises:
        UnreadableRecording: a sample call is not there.
        ServiceUnreachable: the service did not get ready, and why.
        ServiceEnded: it ended by itself.
    """
    host, port = server.config.host, server.config.port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    serving = asyncio.create_task(asyncio.to_thread(_serve, server))
    serving.add_done_callback(lambda _: stop.set())
    try:
        recordings = await asyncio.to_thread(lambda: [Recording.read(path) for path in SAMPLES])
        if await _ready(f"http://{address}/readyz", stop):
            on_ready(f"http://{address}/")
            await replay(
                recordings,
                f"ws://{address}/calls/native",
                calls=calls,
                repeat=repeat,
                stop=stop,
                summary=summary,
                on_alert=on_alert,
                access=access,
            )
        if serving.done():
            raise ServiceEnded
    except ServiceFailed as error:
        if server.should_exit:  # it was on its way out when it was called
            raise ServiceEnded from error
        raise
    finally:
        server.should_exit = True
        await serving


def _serve(server: uvicorn.Server) -> None:
    with suppress(SystemExit):  # how uvicorn says that the start failed, after logging why
        server.run()


async def _ready(url: str, stop: asyncio.Event) -> bool:
    """Whether calls are taken before the service, or the person watching, gave up."""
    problem = "nobody listens"
    last_s = asyncio.get_running_loop().time() + READY_WITHIN_S
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
                    url, f"not ready within {READY_WITHIN_S:.0f} s, at last: {problem}"
                )
            await asyncio.sleep(0.1)
    return False
