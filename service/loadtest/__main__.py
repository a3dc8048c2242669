"""The generator's process: reads settings and commands from standard input, reports on its output.

Each is a line of JSON. The first line in are the settings, and the first line out is `ready`, or
`error` with a sentence. Then `{"wanted": 40}` sets the number of calls, and a `Tally` comes out
once a second. At the end of the input, all calls are ended, and a last tally comes out.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from service.errors import KanjoError
from service.loadtest.generator import Callers, Generator
from service.loadtest.generator_settings import GeneratorSettings
from service.loadtest.schedule import Arrivals

REPORT_S = 1.0


def main() -> None:
    """Runs the generator until its input ends."""
    settings = GeneratorSettings.from_json(json.loads(sys.stdin.readline()))
    try:
        callers = settings.callers()
    except KanjoError as error:
        _print({"error": str(error)})
        return
    _print({"ready": True})
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_generate(callers, settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Returns uvloop's, with which a message costs less; None, asyncio's own, where it is not."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # there is none for some systems
        return None
    return new_event_loop


async def _generate(callers: Callers, settings: GeneratorSettings) -> None:
    # No thread: one that waits for a line would keep the process from ending after a failure.
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    generator = Generator(callers, Arrivals(settings.arrivals), settings.seed)
    async with asyncio.TaskGroup() as tasks:
        owned = [
            tasks.create_task(generator.run()),
            tasks.create_task(_report(generator)),
        ]
        while line := await commands.readline():
            generator.wanted = int(json.loads(line)["wanted"])
        await generator.stop()
        for task in owned:
            task.cancel()
    _print(generator.take_tally().to_json())


async def _report(generator: Generator) -> None:
    """Prints a tally a second, counted from the first, for ever."""
    due_s = asyncio.get_running_loop().time()
    while True:
        due_s += REPORT_S
        await asyncio.sleep(due_s - asyncio.get_running_loop().time())
        _print(generator.take_tally().to_json())


def _print(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
