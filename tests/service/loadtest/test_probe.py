import pytest
from prometheus_client import generate_latest

from service.loadtest.probe import HUNG_UP, Sample, late_percentile_s, parse
from service.metrics import HUNG_UP as HUNG_UP_OF_METRICS
from service.metrics import Metrics


def sample(metrics: Metrics, at_s: float = 0.0) -> Sample:
    return parse(generate_latest(metrics.registry).decode(), at_s)


def test_every_figure_is_among_the_services_metrics() -> None:
    found = sample(Metrics(), 3.0)
    assert found.at_s == 3.0
    missing = [name for name in Sample.__dataclass_fields__ if getattr(found, name) is None]
    assert missing == ["refused"]  # its labels appear with the providers
    assert found.late
    assert found.idle


def test_windows_of_calls_that_hung_up_are_not_dropped() -> None:
    metrics = Metrics()
    metrics.windows_dropped.labels(HUNG_UP).inc(5)
    metrics.windows_dropped.labels("too_late").inc(2)
    metrics.windows_dropped.labels("queue_full").inc(1)
    metrics.outbox_dropped.set_function(lambda: 4)
    assert sample(metrics).dropped == 7
    assert HUNG_UP == HUNG_UP_OF_METRICS


def test_calls_windows_and_writes_keep_a_service_from_being_idle() -> None:
    for name in ("live_calls", "queued_windows", "outbox_pending"):
        metrics = Metrics()
        getattr(metrics, name).set(1)
        assert not sample(metrics).idle


def test_a_server_of_others_leaves_figures_unknown() -> None:
    found = parse("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 3.5\n", 0.0)
    assert found.cpu_s == 3.5
    assert found.dropped is None
    assert found.readings is None
    assert late_percentile_s(found, found, 95) is None


def test_lateness_is_that_between_two_samples() -> None:
    metrics = Metrics()
    metrics.speech_lateness.observe(4.0)
    before = sample(metrics)
    for late_s in [0.62] * 90 + [0.88] * 10:
        metrics.speech_lateness.observe(late_s)
    after = sample(metrics)
    assert late_percentile_s(before, after, 50) == pytest.approx(0.62, abs=0.03)
    assert late_percentile_s(before, after, 95) == pytest.approx(0.875, abs=0.03)
    assert late_percentile_s(after, after, 95) is None


def test_beyond_the_last_edge_lateness_is_that_edge() -> None:
    metrics = Metrics()
    before = sample(metrics)
    metrics.speech_lateness.observe(60.0)
    assert late_percentile_s(before, sample(metrics), 95) == 5.0
