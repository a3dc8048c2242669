"""Wires the services together and owns their tasks."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import structlog
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from model.artifact import ArtifactMeta, Thresholds
from model.labels import ALERTED_EMOTIONS
from model.speech_check_file import shipped_check
from service import memory
from service.access.bridges import BridgeTokens
from service.access.errors import AccessUnusable
from service.access.nonces import FILE as NONCES
from service.access.nonces import KeptNonces
from service.access.origin import OwnAddresses
from service.access.roles import Role
from service.access.setup import AccessParts, first_link, set_up
from service.alerts.policy import AlertRule
from service.alerts.policy_watch import PolicyWatch
from service.api import (
    alert_history,
    alerts,
    asyncapi,
    audiosocket,
    audit,
    calls,
    classify,
    consent,
    events,
    health,
    mutes,
    old_paths,
    openapi,
    outbox,
    problem,
    session,
    single_sign_on,
    summary,
    webhooks,
)
from service.api.access import AccessMiddleware
from service.api.audiosocket import AudioSocketServer
from service.api.headers import StrictHeaders
from service.api.heartbeat import Heartbeat
from service.api.numbers import Numbers, hidden
from service.api.origin import OriginCheck
from service.api.services import Services
from service.api.telephony import create_router
from service.calls.context import CallContext
from service.calls.registry import CallRegistry
from service.connections import Connections
from service.logs import EntryLimit
from service.metrics import Metrics
from service.scoring.batcher import Batcher
from service.scoring.torch_scorer import TorchScorer
from service.settings import Settings
from service.store.outbox import FILE_NAME
from service.store.store import Store
from service.telephony.audiosocket.bridge import AudioSocketBridge
from service.telephony.providers import authenticators, facts_of
from service.telephony.shared.authenticator import Reason
from service.telephony.shared.call_url import UrlTemplate
from service.telephony.shared.facts import FactReader
from service.telephony.shared.listen_only import MessageProblem
from service.telephony.shared.no_credentials import AcceptAll
from service.telephony.shared.nonces import RefusesReplays
from service.webhooks.muted import Muted
from service.webhooks.spool import FILE as WEBHOOKS
from service.webhooks.webhooks import Webhooks

log = structlog.get_logger()

DASHBOARD = Path(__file__).parent / "dashboard"
DOCS = Path(__file__).parent / "api" / "docs"
DAY_S = 86_400
FLUSH_S = 5.0  # at a stop, for writes to Redis that are pending


def alert_rules(settings: Settings, meta: ArtifactMeta) -> list[AlertRule]:
    """Returns a rule per alerted emotion: thresholds of the settings, or else of the model."""
    rules = []
    for emotion in ALERTED_EMOTIONS:
        thresholds = meta.thresholds[emotion]
        fire_at = getattr(settings, f"{emotion}_fire_at")
        if fire_at is not None:
            thresholds = Thresholds(fire_at, getattr(settings, f"{emotion}_clear_at"))
        rules.append(
            AlertRule(
                emotion,
                fire_at=thresholds.fire_at,
                clear_at=thresholds.clear_at,
                hold_s=settings.hold_s,
                release_s=settings.release_s,
                smooth_s=settings.smooth_s,
            )
        )
    return rules


def _services(settings: Settings, scorer: TorchScorer, parts: AccessParts) -> Services:
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
        outbox_path=settings.state_dir / FILE_NAME,
        retention_s=settings.retention_days * DAY_S,
    )
    policy = None
    if settings.policy is not None:
        record = partial(store.audit.add, "service", "policy_loaded", session=None)
        policy = PolicyWatch(settings.policy, lambda version: record(detail=version))
    outward = Webhooks(
        settings.webhooks,
        settings.state_dir / WEBHOOKS,
        metrics,
        hidden,
        settings.page_url,
        Muted(store.mutes.all, lambda: policy.current if policy else None),
    )
    serving = scorer.meta.serving.override(settings.first_s, settings.hop_s)
    context = CallContext(
        meta=scorer.meta,
        batcher=batcher,
        store=store,
        metrics=metrics,
        rules=alert_rules(settings, scorer.meta),
        gate=settings.gate,
        first_s=serving.first_s,
        hop_s=serving.hop_s,
        check=shipped_check(scorer.meta.features),
        keep_within_s=settings.keep_within_ms / 1000,
        consent_required=settings.consent == "required",
        policy=policy,
        alerts=outward,
    )
    live = CallRegistry(context, settings.max_calls)
    store.feed.listener = live.on_event
    store.writer.on_erased = live.refuse
    rejections = EntryLimit()
    by_bridge = authenticators(
        settings,
        trusted=settings.trust_network,
        providers=settings.providers,
        untrusted=BridgeTokens(parts.access),
    )
    nonces = {name: it.nonces for name, it in by_bridge.items() if isinstance(it, RefusesReplays)}
    metrics.build.info(
        {
            "version": version("kanjo"),
            "model": scorer.meta.name,
            "model_version": scorer.meta.version,
        }
    )
    metrics.max_calls.set(settings.max_calls)
    for name, provider in settings.providers.items():
        metrics.begin_provider(name, get_args(Reason), provider.problems)
    metrics.begin_provider(AudioSocketBridge.NAME, (), MessageProblem)
    metrics.queued_windows.set_function(lambda: len(batcher))
    metrics.outbox_pending.set_function(lambda: store.pending_writes)
    metrics.outbox_dropped.set_function(lambda: store.dropped_readings)
    metrics.outbox_rejected.set_function(lambda: store.rejected_writes)
    metrics.oldest_pending_write.set_function(lambda: store.oldest_pending_s)
    metrics.superseded_readings.set_function(lambda: store.superseded_readings)
    metrics.dead_letters.set_function(lambda: len(store.dead_letters))
    metrics.outbox_failing.set_function(lambda: store.outbox_failing)
    metrics.redis_up.set_function(lambda: store.redis_up)
    services = Services(
        settings,
        scorer,
        batcher,
        store,
        live,
        metrics,
        by_bridge,
        access=parts.access,
        logins=parts.logins,
        single_sign_on=parts.single_sign_on,
        nonces=KeptNonces(settings.state_dir / NONCES, nonces),
        webhooks=outward,
        numbers=Numbers(Role(settings.numbers_for)),
        facts=FactReader(
            facts_of(settings.providers),
            settings.facts or {},
            UrlTemplate(settings.call_url) if settings.call_url else None,
        ),
        heartbeat=Heartbeat(store, live),
        rejections=rejections,
        limits=Connections(
            rejections,
            settings.max_connections,
            settings.max_connections_per_address,
            settings.head_within_s,
        ),
        policy=policy,
    )
    metrics.problems.set_function(lambda: len(services.problems))
    return services


def create_app(settings: Settings) -> FastAPI:
    """Builds the service; it can be run once, by `service.server.Server`, which also drains it.

    Raises:
        ArtifactError: the model can't be used.
        NoSuchDevice: the device of the settings is not available.
        PolicyError: the policy file can't be used.
        OutboxInUse: another service uses the state folder.
        CantListen: a port for AudioSocket is in use.
        WebhooksUnusable: the file of receivers, or that of undelivered notices, can't be used.
        AccessUnusable: the file of tokens and sessions can't be used.
    """
    parts = set_up(settings)
    scorer = TorchScorer.load(
        settings.model, settings.device, settings.torch_threads, settings.batch_max
    )
    services = _services(settings, scorer, parts)
    audiosocket_servers = [
        AudioSocketServer(listener, track, services)
        for track, listener in audiosocket.listeners(settings).items()
    ]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if services.store.embedded:
            log.warning("embedded_redis", note="nothing is kept after this process ends")
        _log_access(services)
        await _log_who_gets_in(services)
        required: list[Callable[[], Awaitable[None]]] = [
            services.store.run,
            services.batcher.run,
            memory.keep_giving_back,
            parts.book.run,
            services.nonces.run,
            services.heartbeat.run,
            services.webhooks.run,
            partial(_warm_up, services),
            *([partial(follow_policy, services.policy)] if services.policy else []),
            *(server.run for server in audiosocket_servers),
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                owned = [tasks.create_task(_require(run, services)) for run in required]
                yield
                services.stopping.set()
                await asyncio.gather(
                    services.store.flush(FLUSH_S), services.webhooks.flush(FLUSH_S)
                )
                for task in owned:
                    task.cancel()
        finally:
            await services.webhooks.close()
            await services.store.close()

    app = FastAPI(
        title="Kanjo",
        summary="How callers sound, while they are still talking.",
        version=version("kanjo"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own page loads its script from another host
        redoc_url=None,
    )
    app.state.services = services
    app.state.process_tokens = parts.process_tokens
    problem.install(app)
    openapi.install(app)
    own = OwnAddresses(settings.listens_at, settings.public_url or ())
    app.add_middleware(AccessMiddleware, access=services.access, rejections=services.rejections)
    app.add_middleware(OriginCheck, own=own, rejections=services.rejections)
    app.add_middleware(StrictHeaders)  # the last one added is the outermost
    app.include_router(create_router(settings.providers))
    for routes in (
        calls,
        alert_history,
        alerts,
        summary,
        mutes,
        events,
        asyncapi,
        classify,
        health,
        outbox,
        audit,
        consent,
        session,
        single_sign_on,
        webhooks,
        old_paths,
    ):
        app.include_router(routes.router)
    app.mount("/dashboard", StaticFiles(directory=DASHBOARD), name="dashboard")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(DASHBOARD / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(DOCS / "index.html")

    app.mount("/docs", StaticFiles(directory=DOCS), name="docs")

    return app


def _log_access(services: Services) -> None:
    """Logs which bridges accept whom, and warns if the service listens only locally."""
    settings = services.settings
    if settings.listens_at != settings.host:
        log.warning(
            "loopback_only",
            host=settings.host,
            listens_at=settings.listens_at,
            note="no bridge has credentials: set some, or KANJO_TRUST_NETWORK where only those who "
            "may call can reach this host",
        )
    by_access: dict[str, list[str]] = {"open": [], "closed": [], "with_credentials": []}
    for bridge, authenticator in services.authenticators.items():
        match authenticator:
            case AcceptAll() | BridgeTokens(open=True):
                by_access["open"].append(bridge)
            case BridgeTokens():
                by_access["closed"].append(bridge)  # except for API tokens of the role bridge
            case _:
                by_access["with_credentials"].append(bridge)
    log.info("bridges", **{kind: " ".join(names) for kind, names in by_access.items() if names})


async def _log_who_gets_in(services: Services) -> None:
    """Logs whether everybody gets in, or else a link for the first login."""
    if services.access.open:
        log.info(
            "access_open",
            note="listens on loopback, no public URL is set and no API token exists: whoever is on "
            "this machine gets in; kanjo token create closes it",
        )
        return
    log.info("access_closed", note="every route asks for a login or an API token")
    try:
        link = await asyncio.to_thread(first_link, services.settings)
    except AccessUnusable as error:
        log.error("access_unusable", problem=str(error), note="nobody can log in")
        return
    if link:
        log.warning("login_link", url=link, note="for the first login, once, within 15 minutes")


async def _require(run: Callable[[], Awaitable[None]], services: Services) -> None:
    """Runs a task without which no call could be served; stops the service if it fails.

    The signal makes the process exit, so that its supervisor starts it again.
    """
    try:
        await run()
    except Exception as failure:
        log.critical("part_failed", exc_info=failure)
        services.failed.set()
        services.stopping.set()
        signal.raise_signal(signal.SIGTERM)


async def follow_policy(policy: PolicyWatch) -> None:
    """Follows the policy file; SIGHUP reads it at once."""
    loop = asyncio.get_running_loop()
    in_main_thread = threading.current_thread() is threading.main_thread()  # else no signals here
    if in_main_thread:
        loop.add_signal_handler(signal.SIGHUP, policy.reload)
    try:
        await policy.run()
    finally:
        if in_main_thread:
            loop.remove_signal_handler(signal.SIGHUP)


async def _warm_up(services: Services) -> None:
    """Warms the model up, and logs that the service is ready once it listens too."""
    await asyncio.to_thread(services.scorer.warm_up)
    memory.exempt_permanent_objects()
    services.warm.set()
    await services.listening.wait()  # so that nobody is told to call where nothing listens yet
    meta = services.scorer.meta
    log.info("ready", model=meta.name, version=meta.version, device=services.scorer.device)
