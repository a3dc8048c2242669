"""Sessions on a simulated clock, for the tests of connections."""

import asyncio
import json
import selectors
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from service.api import connection as connection
from service.api.connection import Connection
from service.api.services import Services
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.audiohook.state import DEADLINES, SessionDeadlines
from tests.service.api.audiohook import SESSION


class SimulatedClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer; in whole milliseconds, as uvloop's."""

    def __init__(self, begins_ms: int) -> None:
        loop = self

        class Jump(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> Any:
                assert timeout is not None, "nothing will ever happen"
                loop.turns += 1
                assert loop.turns < 1000, "time stands still"
                loop.now_ms += round(timeout * 1000)
                return super().select(0)

        self.now_ms = begins_ms
        self.turns = 0
        super().__init__(Jump())

    def time(self) -> float:
        return self.now_ms / 1000


class TimedTransport:
    """A transport that delivers these messages, each at its time, and then nothing."""

    def __init__(self, *script: tuple[float, str]) -> None:
        self.script = [*script]
        self.replies: list[tuple[float, dict[str, Any]]] = []
        self.closed: tuple[float, int] | None = None
        self.began_s = 0.0

    @property
    def now_s(self) -> float:
        return round(asyncio.get_running_loop().time() - self.began_s, 3)

    async def receive(self) -> str:
        if not self.script:
            await asyncio.Future()
        await asyncio.sleep(self.script[0][0] - self.now_s)
        return self.script.pop(0)[1]

    async def send(self, message: str | bytes) -> None:
        self.replies.append((self.now_s, json.loads(message)))

    async def close(self, code: int, reason: str) -> None:
        self.closed = self.now_s, code


def timed_session(
    services: Services,
    *script: tuple[float, str],
    begins_ms: int = 0,
    deadlines: SessionDeadlines = DEADLINES,
    meanwhile: Callable[[Connection], None] = lambda _: None,
) -> TimedTransport:
    """Runs a session to its end on a simulated clock; `meanwhile` is called as it begins."""
    services = replace(services, connections=set())  # the real service must not end it
    transport = TimedTransport(*script)
    faults: list[Any] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, fault: faults.append(fault))
        transport.began_s = loop.time()
        bridge = AudioHookBridge(SESSION, "o", deadlines=deadlines)
        connection = Connection(transport, bridge, "audiohook", services)
        meanwhile(connection)
        await connection.run()

    with asyncio.Runner(loop_factory=lambda: SimulatedClockLoop(begins_ms)) as runner:
        runner.run(run())
    assert faults == []
    return transport
