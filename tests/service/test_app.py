import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import uvicorn
from structlog.testing import capture_logs

from model import SHIPPED
from model.artifact import ArtifactError, load
from model.labels import Emotion
from model.speaker_baseline import ModelInput, SpeakerBaseline
from service.alerts.policy_watch import PolicyWatch
from service.api.services import Services
from service.app import alert_rules, create_app, follow_policy
from service.scoring.torch_scorer import NoSuchDevice, TorchScorer
from service.settings import Settings
from service.store.errors import OutboxInUse
from tests.limits import ENOUGH_S


def quick(**named: Any) -> Settings:
    """Settings with few shapes to warm up."""
    return Settings(batch_max=1, **named)


def test_a_model_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.pt: found No such file.*expected a readable"):
        create_app(quick(model=tmp_path / "none.pt"))


@pytest.mark.parametrize("kept", [0, 1000, 0.5, 0.999])
def test_a_model_that_is_truncated_stops_the_start(tmp_path: Path, kept: float) -> None:
    whole = SHIPPED.read_bytes()
    path = tmp_path / "truncated.pt"
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else int(kept)])
    with pytest.raises(ArtifactError, match=r"truncated\.pt: found .*expected"):
        create_app(quick(model=path))


def test_an_unavailable_device_stops_the_start() -> None:
    with pytest.raises(NoSuchDevice, match="cuda:99"):
        create_app(quick(device="cuda:99"))


def test_a_state_folder_in_use_stops_the_start(tmp_path: Path) -> None:
    async def twice() -> None:
        # There is no Redis at this address; the outbox is opened all the same.
        settings = quick(redis_url="redis://127.0.0.1:1/0", state_dir=tmp_path, drain_s=1)
        one = create_app(settings)
        with pytest.raises(OutboxInUse, match="outbox.sqlite3 is in use"):
            create_app(settings)
        async with one.router.lifespan_context(one):
            pass
        other = create_app(settings)
        async with other.router.lifespan_context(other):
            pass

    asyncio.run(twice())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENOUGH_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def only_this_task() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


def window(services: Services) -> ModelInput:
    spec = services.scorer.meta.features
    frames = np.zeros((spec.window_frames, spec.n_features), np.float32)
    return SpeakerBaseline(spec).features(frames)


async def _work() -> None:
    app = create_app(quick())
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        assert services.store.embedded
        assert not services.stopping.is_set()
        await until(lambda: services.warm.is_set() and services.store.redis_up)
        await asyncio.wait_for(services.batcher.submit(window(services)), ENOUGH_S)
    assert services.stopping.is_set()
    # The embedded Redis takes two seconds to end a read that was cancelled.
    await until(only_this_task)


def test_a_stop_leaves_no_task_and_no_thread_behind() -> None:
    before = set(threading.enumerate())
    for _ in range(2):
        asyncio.run(_work())
    deadline = time.monotonic() + ENOUGH_S
    while time.monotonic() < deadline and set(threading.enumerate()) - before:
        time.sleep(0.01)
    assert set(threading.enumerate()) - before == set()


async def test_ready_is_not_logged_before_the_server_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TorchScorer, "warm_up", lambda _: None)  # faster than any server
    app = create_app(quick())
    services: Services = app.state.services

    def is_ready() -> bool:
        return any(entry["event"] == "ready" for entry in entries)

    with capture_logs() as entries:
        async with app.router.lifespan_context(app):
            await until(services.warm.is_set)
            await asyncio.sleep(0.05)
            assert not is_ready()
            services.listening.set()
            await until(is_ready)


async def test_a_failure_within_the_lifespan_stops_the_service_in_order() -> None:
    app = create_app(quick())
    with pytest.raises(ExceptionGroup) as caught:
        async with app.router.lifespan_context(app):
            raise LookupError("not ours")
    assert caught.group_contains(LookupError)
    await until(only_this_task)


def test_a_required_task_that_fails_stops_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: TorchScorer) -> None:
        raise MemoryError("no room for the model")

    caught: list[int] = []

    def catch(number: int, _: FrameType | None) -> None:
        caught.append(number)

    monkeypatch.setattr(TorchScorer, "warm_up", fail)
    before = signal.signal(signal.SIGTERM, catch)
    try:
        app = create_app(quick())
        server = uvicorn.Server(uvicorn.Config(app, port=0, ws="none", log_config=None))
        server.run()  # until it has stopped
    finally:
        signal.signal(signal.SIGTERM, before)
    assert server.started
    assert caught == [signal.SIGTERM]  # so that the exit status is not 0
    assert app.state.services.stopping.is_set()


def test_alert_thresholds_are_those_of_the_settings_or_else_of_the_model() -> None:
    meta = load(SHIPPED).meta
    anger, happiness = alert_rules(
        Settings(anger_fire_at=0.91, anger_clear_at=0.81, hold_s=2, release_s=5, smooth_s=1), meta
    )
    assert (anger.emotion, anger.fire_at, anger.clear_at) == (Emotion.ANGER, 0.91, 0.81)
    own = meta.thresholds[Emotion.HAPPINESS]
    assert happiness.emotion is Emotion.HAPPINESS
    assert (happiness.fire_at, happiness.clear_at) == (own.fire_at, own.clear_at)
    for rule in (anger, happiness):
        assert (rule.hold_s, rule.release_s, rule.smooth_s) == (2, 5, 1)


async def test_sighup_reads_the_policy_file_at_once(tmp_path: Path) -> None:
    async def record(version: str) -> None:
        pass

    path = tmp_path / "policy.toml"
    path.write_text("[anger]\nhold_s = 1")
    watch = PolicyWatch(path, record, poll_s=3600)
    following = asyncio.create_task(follow_policy(watch))
    await until(lambda: signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL)
    path.write_text("[anger]\nhold_s = 2")
    async with asyncio.timeout(ENOUGH_S):
        while watch.current.anger.hold_s != 2:
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0.5)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
