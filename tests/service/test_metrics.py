from collections.abc import Iterable
from typing import get_args

import pytest
from prometheus_client import generate_latest

from service.calls.audio_watch import UnusableReason
from service.errors import CallRefused, KanjoError
from service.events import Track
from service.metrics import BATCH_BUCKETS, HUNG_UP, LATENESS_BUCKETS_S, START_REFUSED, Metrics
from service.scoring.batcher import DropReason
from service.telephony.shared.authenticator import Reason
from service.telephony.shared.listen_only import MessageProblem


def test_two_services_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.readings.labels("caller").inc()
    name = "kanjo_readings_total"
    assert one.registry.get_sample_value(name, {"track": "caller"}) == 1
    assert other.registry.get_sample_value(name, {"track": "caller"}) == 0


def test_known_labels_appear_before_the_first_event() -> None:
    found = Metrics().registry.get_sample_value
    for track in Track:
        assert found("kanjo_readings_total", {"track": track}) == 0
    for reason in (*get_args(DropReason), HUNG_UP):
        assert found("kanjo_windows_dropped_total", {"reason": reason}) == 0
    firing = {"emotion": "anger", "state": "firing"}
    assert found("kanjo_alert_transitions_total", firing) == 0


def leaves(of: type[KanjoError]) -> set[str]:
    below = of.__subclasses__()
    return {name for each in below for name in leaves(each)} if below else {of.__name__}


def test_the_refusals_of_every_provider_begin_at_zero() -> None:
    metrics = Metrics()
    metrics.begin_provider("vonage", get_args(Reason), MessageProblem)
    samples = {
        name: {
            tuple(sample.labels.values())
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"kanjo_{name}_total" and sample.value == 0
        }
        for name in ("calls_refused", "handshakes_rejected", "message_errors", "unusable_streams")
    }
    known: dict[str, Iterable[str]] = {
        "calls_refused": {*leaves(CallRefused), START_REFUSED},
        "handshakes_rejected": get_args(Reason),
        "message_errors": MessageProblem,
        "unusable_streams": get_args(UnusableReason),
    }
    assert samples == {
        name: {("vonage", label) for label in labels} for name, labels in known.items()
    }


def test_every_metric_has_the_projects_prefix_and_a_help_text_of_a_sentence() -> None:
    families = [
        family
        for family in Metrics().registry.collect()
        if not family.name.startswith("process_")  # Prometheus' own, with Prometheus' texts
    ]
    assert len(families) > 10
    for family in families:
        assert family.name.startswith("kanjo_"), family.name
        assert family.documentation, family.name
        assert family.documentation.endswith("."), family.name


def test_lateness_buckets_resolve_what_matters_to_a_live_call() -> None:
    metrics = Metrics()
    metrics.reading_lateness.observe(0.3)
    text = generate_latest(metrics.registry).decode()
    assert 'kanjo_reading_lateness_seconds_bucket{le="0.2"} 0.0' in text
    assert 'kanjo_reading_lateness_seconds_bucket{le="0.35"} 1.0' in text
    assert list(LATENESS_BUCKETS_S) == sorted(LATENESS_BUCKETS_S)
    assert list(BATCH_BUCKETS) == sorted(BATCH_BUCKETS)


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("outbox_dropped", "kanjo_outbox_dropped_readings"),
        ("outbox_rejected", "kanjo_outbox_rejected_writes"),
    ],
)
def test_values_of_the_store_that_only_rise_are_counters(attribute: str, name: str) -> None:
    metrics = Metrics()
    assert metrics.registry.get_sample_value(f"{name}_total") == 0
    getattr(metrics, attribute).set_function(lambda: 7)
    assert metrics.registry.get_sample_value(f"{name}_total") == 7
    assert f"# TYPE {name}_total counter" in generate_latest(metrics.registry).decode()


def test_the_process_s_memory_and_descriptors_are_among_the_metrics() -> None:
    registry = Metrics().registry
    assert (registry.get_sample_value("process_resident_memory_bytes") or 0) > 1e6
    assert (registry.get_sample_value("process_open_fds") or 0) > 0
