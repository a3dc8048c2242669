"""One load test from its start to its files: service, generator, phases, result."""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from model.files import atomic_write
from service.errors import KanjoError
from service.loadtest.generator_process import GeneratorProcess
from service.loadtest.generator_settings import GeneratorSettings
from service.loadtest.picture import svg
from service.loadtest.plan import Plan
from service.loadtest.processor import Machine
from service.loadtest.result import Result
from service.loadtest.run import LoadTest, Progress
from service.loadtest.table import markdown
from service.loadtest.target import RunningService, ServiceProcess, Target

LOG = "loadtest.log"  # of service and generator
TABLE, PICTURE = "result.md", "result.svg"
SHOWN = ("bridge", "encoding", "talk", "frame_ms", "arrivals", "call_s", "seed")


async def load_test(
    plan: Plan,
    settings: GeneratorSettings,
    folder: Path,
    *,
    url: str | None = None,
    metrics: str | None = None,
    metrics_token: str | None = None,
    redis_url: str | None = None,
    stop: asyncio.Event | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Result:
    """Runs a load test, and writes its result into a folder after each step.

    Where `stop` is set, or the service or the generator fails, the result has what was measured
    until then, and reports that.

    Args:
        settings: of the generator; where there is no `url`, its own is that of the service that is
            started.
        folder: of the files; it must exist.
        url: of a service that runs already; None starts one.
        metrics, metrics_token: its /metrics, by default of the same host, and who may read them.
        redis_url: of the Redis of a service that is started; None starts that too.
        stop: ends the test.

    Raises:
        KanjoError: nothing could be measured, because service or generator did not begin.
    """
    with tempfile.TemporaryDirectory(prefix="kanjo-loadtest-") as own:
        with (folder / LOG).open("wb") as log:
            target: Target = (
                RunningService(url, metrics, metrics_token)
                if url
                else ServiceProcess(settings.bridge, redis_url, Path(own), log)
            )
            running = asyncio.create_task(_run(plan, settings, folder, target, log, progress))
            stopping = asyncio.create_task((stop or asyncio.Event()).wait())
            try:
                await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                if not running.done():
                    running.cancel()
                    with suppress(asyncio.CancelledError):
                        await running
            return running.result()


async def _run(
    plan: Plan,
    settings: GeneratorSettings,
    folder: Path,
    target: Target,
    log: IO[bytes],
    progress: Callable[[Progress], None],
) -> Result:
    result = Result(
        version=version("kanjo"),
        began_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=Machine.this(),
        target=target.description,
        settings={name: getattr(settings, name) for name in SHOWN},
    )

    def changed() -> None:
        result.target = target.description
        _write(result, plan, folder)

    try:
        progress(Progress("starting", 0, 1))
        await target.start(None)
        settings = settings.at(target.url)
        async with GeneratorProcess(settings, log) as generator:
            test = LoadTest(plan, target, generator, result, changed=changed, progress=progress)
            await test.run()
    except asyncio.CancelledError:
        result.interrupted = True
    except KanjoError as error:
        if not result.steps:
            raise
        result.problem = str(error)
    finally:
        await target.stop()
    changed()
    return result


def _write(result: Result, plan: Plan, folder: Path) -> None:
    result.write(folder)
    for name, text in (
        (TABLE, markdown(result)),
        (PICTURE, svg(result, plan.limits.late_s)),
    ):
        with atomic_write(folder / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
