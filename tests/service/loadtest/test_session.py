"""A small load test of a real service process with a real Redis; no figure of it is asserted."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from service.errors import Overloaded
from service.loadtest.generator_process import GeneratorFailed, GeneratorProcess
from service.loadtest.generator_settings import GeneratorSettings
from service.loadtest.objectives import Limits
from service.loadtest.plan import Plan
from service.loadtest.result import Verdict
from service.loadtest.session import load_test
from service.loadtest.target import NOT_INHERITED
from service.replay.demo import SAMPLES
from service.settings import Settings
from tests.e2e.service import Service

SPEECH = tuple(map(str, SAMPLES))
LAX = Limits(late_s=1000, refused_s=1000, behind_s=1000, memory_growth=10)  # a machine may be busy


PLAN = Plan((2,), hold_s=2, settle_s=0, talk=1.0, idle_s=2, arrivals=None, limits=LAX)
SETTINGS = GeneratorSettings("", SPEECH, talk=1.0, frame_ms=40, arrivals=None)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that admits two calls."""
    with Service(tmp_path_factory.mktemp("state"), batch_max=1, max_calls=2) as service:
        yield service


async def test_all_phases_at_a_service_that_runs(tmp_path: Path, service: Service) -> None:
    phases: list[str] = []
    result = await load_test(
        replace(PLAN, steps=(5,), soak_minutes=1 / 60),
        replace(SETTINGS, url=service.ws),
        tmp_path,
        url=service.ws,
        progress=lambda done: phases.append(done.phase),
    )
    log = (tmp_path / "loadtest.log").read_text()
    assert not result.problem, log
    assert [step.calls for step in result.steps] == [2]  # as many as it admits
    assert result.capacity == 2
    assert result.capped_by == "admission: KANJO_MAX_CALLS"
    for step in result.steps:
        assert step.late_at == "caller"
        assert step.service_cpu is not None
        assert step.frames_per_s > 0
    assert result.steps[0].readings > 0
    over = result.overload
    assert over is not None
    assert (over.calls, over.broken) == (3, 0)
    assert list(over.words) == [str_of_refusal(2)], over
    assert len(result.soak) == 1
    assert result.audit is not None
    assert result.audit.after.idle
    assert result.audit.verdict is Verdict.HELD, result.audit
    assert phases[0] == "starting"
    kept = json.loads((tmp_path / "result.json").read_text())
    assert (kept["capacity"], kept["overload"]["words"]) == (2, over.words)
    table = (tmp_path / "result.md").read_text()
    assert "| 3 overload | held |" in table
    assert "Audit: nothing was left." in table
    ElementTree.fromstring((tmp_path / "result.svg").read_text())
    assert "Traceback" not in log


def str_of_refusal(calls: int) -> str:
    return f"overloaded: {Overloaded(calls)}"


async def test_the_metrics_stand_in_where_a_provider_is_sent_no_readings(
    tmp_path: Path, service: Service
) -> None:
    url = service.ws.replace("native", "twilio")
    result = await load_test(
        replace(PLAN, overload=False, audit=False),
        replace(SETTINGS, url=url, bridge="twilio"),
        tmp_path,
        url=url,
    )
    (step,) = result.steps
    assert (step.late_at, step.broken, step.errors) == ("service", 0, 0)
    assert step.late_p95_s == step.service_late_p95_s is not None


@pytest.mark.campaign
async def test_a_service_of_its_own_is_started_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KANJO_BATCH_MAX", "1")  # warm soon
    monkeypatch.setenv("KANJO_REDIS_URL", "redis://127.0.0.1:1/0")  # is not the test's
    result = await load_test(
        replace(PLAN, steps=(1,), hold_s=1, audit=False, overload=False), SETTINGS, tmp_path
    )
    assert "redis-server" in result.target
    assert result.capacity == 1
    (step,) = result.steps
    assert step.loop_cpu is not None
    assert step.machine_cpu is not None


@pytest.mark.campaign
async def test_a_service_of_its_own_is_started_again_with_what_held_as_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KANJO_BATCH_MAX", "1")  # warm soon
    result = await load_test(PLAN, SETTINGS, tmp_path)
    assert (result.capacity, result.stopped_by) == (2, "all steps held")
    assert result.overload is not None
    assert list(result.overload.words) == [str_of_refusal(2)]
    assert result.audit is not None
    assert result.audit.verdict is Verdict.HELD, result.audit


async def test_a_generator_that_can_not_begin_says_why(tmp_path: Path) -> None:
    settings = GeneratorSettings("ws://127.0.0.1:1/", SPEECH, "twilio", encoding="l16")
    with (tmp_path / "log").open("wb") as log:
        with pytest.raises(GeneratorFailed, match="twilio: got encoding l16, expected mulaw"):
            async with GeneratorProcess(settings, log):
                pass


def test_what_a_service_does_not_inherit_are_settings() -> None:
    known = {f"KANJO_{name.upper()}" for name in Settings.model_fields}
    known |= {f"{name}_FILE" for name in known} | {"KANJO_TOKEN"}
    assert known >= NOT_INHERITED
