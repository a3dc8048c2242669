"""The generator as a process of its own, seen from the load test."""

import asyncio
import json
from asyncio.subprocess import Process
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from service.errors import KanjoError
from service.loadtest import child
from service.loadtest.generator_settings import GeneratorSettings
from service.loadtest.tally import Tally

STOPPED_WITHIN_S = 30.0


class GeneratorFailed(KanjoError):
    """The generator could not begin, or has ended by itself; the text states why."""


class GeneratorProcess:
    """Starts at the beginning of the block, and ends its calls and itself at the end of it.

    Args:
        log: where its errors go.

    Raises:
        GeneratorFailed: a recording can't be used, or the provider has no such encoding.
    """

    def __init__(self, settings: GeneratorSettings, log: IO[bytes]) -> None:
        self._settings = settings
        self._log = log
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._tally = Tally()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._process = await child.start_module("service.loadtest", talks=True, log=self._log)
        try:
            self._write(self._settings.to_json())
            answer = await self._read()
            if "error" in answer:
                raise GeneratorFailed(answer["error"])
        except BaseException:
            await child.end(self._process, 1)
            raise
        self._reading = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._reading is not None
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOPPED_WITHIN_S):
                with suppress(GeneratorFailed):
                    await self._reading
                    await process.wait()  # its output has ended, so it is about to
        except TimeoutError:
            pass
        finally:
            self._reading.cancel()
            await child.end(process, 1)

    def want(self, calls: int) -> None:
        """Sets the number of live calls."""
        self._write({"wanted": calls})

    def take_tally(self) -> Tally:
        """Returns what has happened since the last time, up to the latest report."""
        taken, self._tally = self._tally, Tally(live=self._tally.live)
        return taken

    @property
    def live(self) -> int:
        """The calls that were live at the latest report."""
        return self._tally.live

    async def report(self) -> None:
        """Returns after the next report, which comes within a second or so.

        Raises:
            GeneratorFailed: it has ended by itself.
        """
        assert self._reading is not None
        self._arrived.clear()
        arrived = asyncio.ensure_future(self._arrived.wait())
        try:
            await asyncio.wait({arrived, self._reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrived.cancel()
        if self._reading.done():
            self._reading.result()
            raise GeneratorFailed("the generator ended by itself; loadtest.log gives the reason")

    def _write(self, content: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content).encode() + b"\n")

    async def _read(self) -> dict[str, object]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise GeneratorFailed("the generator ended by itself; loadtest.log gives the reason")
        content: dict[str, object] = json.loads(line)
        return content

    async def _follow(self) -> None:
        """Adds up the reports until there are no more."""
        with suppress(GeneratorFailed):
            while True:
                report = Tally.from_json(await self._read())
                self._tally.add(report)  # to that of now: it may have been taken meanwhile
                self._arrived.set()
