"""Puts the parts together and owns their tasks; nothing else happens here."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from model.artifact import ArtifactMeta, Thresholds
from model.labels import Emotion
from service.alerts import AlertRule
from service.batcher import Batcher
from service.call import Calls, Hearing
from service.doors.unkeyed import ClosedDoor, OpenDoor
from service.metrics import Metrics
from service.routes import audiosocket, bridges, calls, classify, events, health, problem
from service.routes.audiosocket import AudioSocketServer
from service.routes.doors import doors
from service.routes.parts import Parts
from service.scorer import TorchScorer
from service.settings import Settings
from service.store import Store

log = structlog.get_logger()

DASHBOARD = Path(__file__).parent / "dashboard"
ALERTED = (Emotion.ANGER, Emotion.HAPPINESS)
DAY_S = 86_400
FLUSH_S = 5.0  # at a stop, for Redis to take what calls have left


def alert_rules(settings: Settings, meta: ArtifactMeta) -> list[AlertRule]:
    """The model's thresholds, where the settings have none."""
    rules = []
    for emotion in ALERTED:
        at = meta.thresholds[emotion]
        fire_at = getattr(settings, f"{emotion}_fire_at")
        if fire_at is not None:
            at = Thresholds(fire_at, getattr(settings, f"{emotion}_clear_at"))
        rules.append(
            AlertRule(
                emotion,
                fire_at=at.fire_at,
                clear_at=at.clear_at,
                hold_s=settings.hold_s,
                release_s=settings.release_s,
                smooth_s=settings.smooth_s,
            )
        )
    return rules


def _parts(settings: Settings, scorer: TorchScorer) -> Parts:
    metrics = Metrics()
    batcher = Batcher(
        scorer,
        metrics,
        batch_max=settings.batch_max,
        wait_s=settings.batch_wait_ms / 1000,
        queue_max=settings.queue_max,
        max_age_s=settings.window_max_age_s,
    )
    store = Store.connect(
        settings.redis_url,
        outbox_path=settings.state_dir / "outbox.sqlite3",
        retention_s=settings.retention_days * DAY_S,
    )
    hearing = Hearing(
        meta=scorer.meta,
        batcher=batcher,
        store=store,
        metrics=metrics,
        rules=alert_rules(settings, scorer.meta),
        gate=settings.gate,
        first_s=settings.first_s,
        hop_s=settings.hop_s,
    )
    live = Calls(hearing, settings.max_calls)
    metrics.queue.set_function(lambda: len(batcher))
    metrics.outbox.set_function(lambda: store.waiting)
    metrics.outbox_dropped.set_function(lambda: store.dropped)
    metrics.outbox_refused.set_function(lambda: store.refused)
    metrics.redis_up.set_function(lambda: store.redis_up)
    return Parts(settings, scorer, batcher, store, live, metrics, doors(settings))


def create_app(settings: Settings) -> FastAPI:
    """The service, ready to be run once, by `service.server.Server`, which drains it at its end.

    Raises:
        ArtifactError: the model can't be used.
        NoSuchDevice: not where the settings say.
        OutboxInUse, OutboxUnusable: another service has the state folder, or it can't be written.
        CantListen: a port for AudioSocket is taken.
    """
    scorer = TorchScorer.load(
        settings.model, settings.device, settings.torch_threads, settings.batch_max
    )
    parts = _parts(settings, scorer)
    voices = [
        AudioSocketServer(listener, track, parts)
        for track, listener in audiosocket.listeners(settings).items()
    ]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if parts.store.embedded:
            log.warning("embedded_redis", note="nothing is kept after this process ends")
        _tell_who_may_connect(parts)
        needed: list[Callable[[], Awaitable[None]]] = [
            parts.store.run,
            parts.batcher.run,
            partial(_warm_up, parts),
            *(voice.run for voice in voices),
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                owned = [tasks.create_task(_needed(part, parts)) for part in needed]
                yield
                parts.stopping.set()
                await parts.store.flush(FLUSH_S)
                for task in owned:
                    task.cancel()
        finally:
            await parts.store.close()

    app = FastAPI(
        title="Kanjo",
        summary="How callers sound, while they are still talking.",
        version=version("kanjo"),
        lifespan=lifespan,
    )
    app.state.parts = parts
    problem.install(app)
    for part in (bridges, calls, events, classify, health):
        app.include_router(part.router)
    app.mount("/dashboard", StaticFiles(directory=DASHBOARD), name="dashboard")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(DASHBOARD / "index.html")

    return app


def _tell_who_may_connect(parts: Parts) -> None:
    settings = parts.settings
    if settings.listens_at != settings.host:
        log.warning(
            "loopback_only",
            host=settings.host,
            listens_at=settings.listens_at,
            note="no bridge has credentials: set some, or KANJO_TRUST_NETWORK where only those who "
            "may call can reach this host",
        )
    by_door: dict[str, list[str]] = {"open": [], "closed": [], "with_credentials": []}
    for bridge, door in parts.doors.items():
        match door:
            case OpenDoor() if not (bridge == "twilio" and settings.twilio_token):
                by_door["open"].append(bridge)
            case ClosedDoor():
                by_door["closed"].append(bridge)
            case _:
                by_door["with_credentials"].append(bridge)
    log.info("bridges", **{kind: " ".join(names) for kind, names in by_door.items() if names})


async def _needed(part: Callable[[], Awaitable[None]], parts: Parts) -> None:
    """Without it the service would take calls and answer nobody: it stops, to be started anew."""
    try:
        await part()
    except Exception as failure:
        log.critical("part_failed", exc_info=failure)
        parts.failed.set()
        parts.stopping.set()
        signal.raise_signal(signal.SIGTERM)


async def _warm_up(parts: Parts) -> None:
    await asyncio.to_thread(parts.scorer.warm_up)
    parts.warm.set()
    meta = parts.scorer.meta
    log.info("ready", model=meta.name, version=meta.version, device=parts.scorer.device)
