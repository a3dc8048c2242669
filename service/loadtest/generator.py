"""Keeps as many calls live as are asked for, and sends their frames when these are due."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from model.audio import Pcm
from service.errors import ServiceFailed
from service.events import Track
from service.loadtest.call import CallState, LoadCall
from service.loadtest.schedule import Arrivals, FrameSchedule
from service.loadtest.tally import Tally
from service.telephony.shared.client import ClientCredentials, ProviderClient
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

MOST_FRAMES = 200  # sent between two turns of the event loop
TURN_S = 0.02  # longest between two looks at how many calls there are to be
CONNECTED_WITHIN_S = 10.0
STOPPED_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Callers:
    """Who calls: the provider's client, what it connects to, and what is said.

    Calls last `call_s` on average, from half of it to one and a half, and are replaced by others.
    """

    client: type[ProviderClient]
    url: str
    encoding: Encoding | None
    credentials: ClientCredentials
    tapes: Sequence[Pcm]  # (n, 1) int16 each, a multiple of the frame
    frame_samples: int
    call_s: float


class Generator:
    """Holds the number of calls at `wanted`, which may be set at any time.

    Args:
        arrivals: when new calls begin.
        seed: decides tapes, offsets and durations.
        clock: seconds, monotonic.
        cpu_clock: seconds that this process has computed.
    """

    def __init__(
        self,
        callers: Callers,
        arrivals: Arrivals,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self.wanted = 0
        self._callers = callers
        self._arrivals = arrivals
        self._rng = np.random.default_rng(seed)
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._schedule: FrameSchedule[LoadCall] = FrameSchedule()
        self._until_s: dict[LoadCall, float] = {}  # live calls, the oldest first, and their ends
        self._stopping: dict[LoadCall, float] = {}  # and when they are given up
        self._connecting: set[asyncio.Task[None]] = set()
        self._tally = Tally()
        self._tally_began = (clock(), cpu_clock())
        self._run = secrets.token_hex(3)
        self._number = 0

    def take_tally(self) -> Tally:
        """Returns what has happened since the last time."""
        taken, now = self._tally, (self._clock(), self._cpu_clock())
        taken.live = len(self._until_s)
        taken.seconds = now[0] - self._tally_began[0]
        taken.cpu_s = now[1] - self._tally_began[1]
        self._tally, self._tally_began = Tally(), now
        return taken

    async def run(self) -> None:
        """Runs until cancelled; then breaks off what is left."""
        try:
            while True:
                self._adjust(self._clock())
                for due_s, call in self._schedule.due(self._clock(), MOST_FRAMES):
                    if call.state is CallState.LIVE:
                        self._tally.add_frame(max(0.0, self._clock() - due_s))
                        call.send_frame()
                next_s = self._schedule.next_s
                wait_s = TURN_S if next_s is None else min(TURN_S, next_s - self._clock())
                await asyncio.sleep(max(0.0, wait_s))
        finally:
            for task in self._connecting:
                task.cancel()
            for call in (*self._until_s, *self._stopping):
                call.abort()

    async def stop(self, within_s: float = STOPPED_WITHIN_S) -> None:
        """Ends all calls; returns when the service has ended them too, or the time is over.

        `run` must be running.
        """
        self.wanted = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s + 1):
                while self._until_s or self._stopping or self._connecting:  # noqa: ASYNC110
                    await asyncio.sleep(TURN_S)

    def _adjust(self, now_s: float) -> None:
        """Ends calls that are over or too many, begins those that are missing."""
        for call in [call for call, until_s in self._until_s.items() if until_s <= now_s]:
            self._stop(call, now_s)
        surplus = len(self._until_s) + len(self._connecting) - self.wanted
        for call in list(self._until_s)[: max(0, surplus)]:
            self._stop(call, now_s)
        for call in [call for call, by_s in self._stopping.items() if by_s <= now_s]:
            call.give_up(f"no_stopped: the service did not end it in {STOPPED_WITHIN_S:g} s")
        for _ in range(self._arrivals.begin(now_s, max(0, -surplus))):
            task = asyncio.create_task(self._begin())
            self._connecting.add(task)

    def _stop(self, call: LoadCall, now_s: float) -> None:
        del self._until_s[call]
        self._stopping[call] = now_s + STOPPED_WITHIN_S
        call.stop()

    async def _begin(self) -> None:
        callers, rng = self._callers, self._rng
        self._number += 1
        call_id = f"loadtest-{self._run}-{self._number}"
        tape = callers.tapes[int(rng.integers(len(callers.tapes)))]
        offset = int(rng.integers(len(tape) // callers.frame_samples)) * callers.frame_samples
        seconds = callers.call_s * rng.uniform(0.5, 1.5)
        recording = Recording(call_id, (Track.CALLER,), tape)
        clients = callers.client.connections(
            call_id, recording, callers.encoding, callers.url, callers.credentials
        )
        call = LoadCall(
            clients,
            tape,
            offset,
            callers.frame_samples,
            tally=lambda: self._tally,
            clock=self._clock,
            on_end=self._ended,
        )
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(CONNECTED_WITHIN_S):
                await call.connect(callers.url)
        except (ServiceFailed, TimeoutError) as failure:
            words = str(failure) or f"no connection in {CONNECTED_WITHIN_S:g} s"
            self._tally.words[words] += 1
            self._tally.broken += 1
            self._arrivals.refuse(self._clock())
            return
        finally:
            self._connecting.discard(task)  # at once, so that no call counts twice
        if call.state is CallState.LIVE:
            self._tally.started += 1
            self._until_s[call] = self._clock() + seconds
            self._schedule.add(call)

    def _ended(self, call: LoadCall, refused: bool) -> None:
        self._until_s.pop(call, None)
        self._stopping.pop(call, None)
        if refused:
            self._arrivals.refuse(self._clock())
