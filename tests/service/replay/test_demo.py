import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import soundfile
import uvicorn

from service.app import create_app
from service.errors import ServiceUnreachable, UnreadableRecording
from service.replay.demo import SAMPLES, ServiceEnded, demo
from service.replay.summary import ReplaySummary
from service.scoring.torch_scorer import TorchScorer
from service.settings import Settings
from service.telephony.shared.client import AlertReceived
from tests.limits import ENOUGH_S

CALL_S = 3.0


@pytest.fixture(scope="module")
def short_samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The first seconds of the sample calls."""
    folder = tmp_path_factory.mktemp("samples")
    paths = tuple(folder / path.name for path in SAMPLES)
    for sample, path in zip(SAMPLES, paths, strict=True):
        samples, rate = soundfile.read(sample, frames=int(CALL_S * 8000), dtype="int16")
        soundfile.write(path, samples, rate)
    return paths


def server(host: str = "127.0.0.1", **settings: object) -> uvicorn.Server:
    """A service in which all speech sounds angry."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    angry = {"anger_fire_at": 0.0001, "anger_clear_at": 0.0, "hold_s": 0.0}
    app = create_app(Settings.model_validate({"batch_max": 1, "drain_s": 1, **angry, **settings}))
    return uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_config=None))


async def play(
    served: uvicorn.Server,
    samples: Sequence[Path],
    *,
    calls: int = 3,
    repeat: bool = False,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[str], None] = lambda _: None,
    on_alert: Callable[[AlertReceived], None] = lambda _: None,
    ready_within_s: float = ENOUGH_S,
) -> ReplaySummary:
    summary = ReplaySummary()
    async with asyncio.timeout(ENOUGH_S):
        await demo(
            served,
            calls=calls,
            repeat=repeat,
            stop=stop or asyncio.Event(),
            summary=summary,
            on_ready=on_ready,
            on_alert=on_alert,
            samples=samples,
            ready_within_s=ready_within_s,
        )
    return summary


def test_every_bundled_sample_is_played_and_the_angry_one_first() -> None:
    assert set(SAMPLES) == set(SAMPLES[0].parent.glob("*.flac"))
    assert "angry" in SAMPLES[0].name


async def test_the_sample_calls_raise_alerts_at_a_service_of_its_own(
    short_samples: tuple[Path, ...],
) -> None:
    alerts: list[AlertReceived] = []
    served = server()
    summary = await play(served, short_samples, on_alert=alerts.append)
    assert summary.calls == 3
    assert summary.played_s == pytest.approx(3 * CALL_S)
    assert summary.readings >= 3
    assert summary.fired["anger"] == 3
    assert not summary.errors
    assert any(alert.state == "firing" and "sounds angry" in alert.text for alert in alerts)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", served.config.port))


@pytest.mark.parametrize(
    ("host", "shown_as"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")],
)
async def test_its_address_can_be_opened_where_it_runs(
    host: str, shown_as: str, short_samples: tuple[Path, ...]
) -> None:
    stop, shown = asyncio.Event(), list[str]()

    def on_ready(url: str) -> None:
        shown.append(url)
        stop.set()

    served = server(host)
    await play(served, short_samples, stop=stop, on_ready=on_ready)
    assert shown == [f"http://{shown_as}:{served.config.port}/"]


async def test_a_stop_hangs_up_all_calls_and_ends_the_service(
    short_samples: tuple[Path, ...],
) -> None:
    stop, served = asyncio.Event(), server()
    summary = await play(
        served, short_samples, repeat=True, stop=stop, on_alert=lambda _: stop.set()
    )
    assert summary.calls >= 1
    assert summary.played_s < 3 * CALL_S
    assert not summary.errors
    assert served.started


async def test_a_stop_before_the_service_is_ready_ends_it(
    short_samples: tuple[Path, ...],
) -> None:
    stop, shown = asyncio.Event(), list[str]()
    stop.set()
    summary = await play(server(), short_samples, stop=stop, on_ready=shown.append)
    assert summary.calls == 0
    assert not shown


async def test_a_service_that_ends_by_itself_is_an_error(short_samples: tuple[Path, ...]) -> None:
    served = server()

    def end(_: str) -> None:
        served.should_exit = True

    with pytest.raises(ServiceEnded, match="ended by itself"):
        await play(served, short_samples, repeat=True, on_ready=end)


async def test_a_service_that_cannot_start_is_an_error(short_samples: tuple[Path, ...]) -> None:
    served = server()
    with socket.socket() as other:
        other.bind(("127.0.0.1", served.config.port))
        with pytest.raises(ServiceEnded):
            await play(served, short_samples)


async def test_a_service_that_does_not_get_ready_is_given_up(
    short_samples: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = server()

    def never_warm(_: TorchScorer) -> None:
        while not served.should_exit:
            time.sleep(0.01)

    monkeypatch.setattr(TorchScorer, "warm_up", never_warm)
    at_last = 'not ready within 0 s, at last: .*"model_warm":false'
    with pytest.raises(ServiceUnreachable, match=at_last):
        await play(served, short_samples, ready_within_s=0.01)


async def test_a_sample_that_is_missing_ends_the_service(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecording, match="absent.flac"):
        await play(server(), [tmp_path / "absent.flac"])
