"""Plays recordings at the service as live calls of a provider: a demo, a load test, a check.

The command is `kanjo replay call.wav --calls 20 --bridge twilio`.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from service.errors import ServiceFailed
from service.replay.call import ReplayedCall
from service.replay.summary import ReplaySummary
from service.telephony.providers import PROVIDERS, clients
from service.telephony.shared.client import (
    NO_CREDENTIALS,
    AlertReceived,
    ClientCredentials,
    ProviderClient,
    ReadingReceived,
)
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

STOPPED_WITHIN_S = 10.0  # from our stop to the service's own
CALLS_PER_S = 100  # new calls, if there are many
GOLDEN = 0.618034  # its multiples, modulo 1, are spread evenly for any number of them

CLIENTS: Mapping[str, type[ProviderClient]] = clients(PROVIDERS)


async def replay(
    recordings: Sequence[Recording],
    url: str,
    *,
    calls: int = 1,
    speed: float = 1.0,
    repeat: bool = False,
    bridge: str = "native",
    encoding: Encoding | None = None,
    credentials: ClientCredentials = NO_CREDENTIALS,
    stop: asyncio.Event | None = None,
    summary: ReplaySummary | None = None,
    on_alert: Callable[[AlertReceived], None] = lambda _: None,
    on_reading: Callable[[Recording, ReadingReceived], None] = lambda *_: None,
    stopped_within_s: float = STOPPED_WITHIN_S,
) -> ReplaySummary:
    """Plays every recording at least once, `calls` of them at a time.

    A call that the service refuses counts as an error; if it takes no call at all, the first
    refusal is raised.

    Args:
        url: where the calls connect to, as ws://127.0.0.1:8000/calls/native.
        speed: 1 is real time, 2 twice as fast.
        repeat: starts over when all recordings were played, until `stop`.
        bridge: the provider whose protocol the calls use.
        encoding: how samples are encoded; the provider's usual encoding unless given.
        credentials: what the provider authenticates itself with.
        stop: ends all calls as a hang-up would.
        summary: filled while the calls run, and returned.
        on_alert: called at every step of every alert that the service sends.
        on_reading: called with the recording at every reading that the service sends.
        stopped_within_s: longest time from our stop to the service's own; later is an error.

    Raises:
        UnsupportedByProvider: the provider uses no such encoding or credentials.
        ServiceFailed: no call was taken.
    """
    provider = CLIENTS[bridge]
    provider.connections("", recordings[0], encoding, url, credentials)  # raises before any call
    stop = stop or asyncio.Event()
    summary = summary or ReplaySummary()
    summary.feedback = provider.feedback
    run = secrets.token_hex(3)
    failures: list[ServiceFailed] = []
    begin_s = asyncio.get_running_loop().time()
    spread_s = 0.0 if calls == 1 else max(1.0, calls / CALLS_PER_S)

    async def play_in_turn(first: int) -> None:
        """Plays call number `first` and every `calls`-th after it, one after the other."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(begin_s + first * GOLDEN % 1 * spread_s):
                await stop.wait()
        last = None if repeat else max(len(recordings), calls)
        for number in itertools.islice(itertools.count(), first, last, calls):
            if stop.is_set():
                return
            recording = recordings[number % len(recordings)]
            call_id = f"replay-{run}-{number + 1}"
            clients = provider.connections(call_id, recording, encoding, url, credentials)
            call = ReplayedCall(
                clients,
                recording,
                url,
                speed=speed,
                stop=stop,
                summary=summary,
                on_alert=on_alert,
                on_reading=on_reading,
                stopped_within_s=stopped_within_s,
            )
            try:
                await call.run()
            except ServiceFailed as failure:
                failures.append(failure)
                summary.add_error("refused", str(failure))
                return

    async with asyncio.TaskGroup() as group:
        for first in range(calls):
            group.create_task(play_in_turn(first))
    if failures and not summary.calls:
        raise failures[0]
    return summary
