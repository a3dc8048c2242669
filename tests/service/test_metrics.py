from prometheus_client import generate_latest

from service.metrics import LATENESS_S, Metrics


def test_two_services_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.readings.labels("caller").inc()
    name = "kanjo_readings_total"
    assert one.registry.get_sample_value(name, {"track": "caller"}) == 1
    assert other.registry.get_sample_value(name, {"track": "caller"}) is None


def test_every_metric_carries_the_projects_name_and_says_what_it_is() -> None:
    families = list(Metrics().registry.collect())
    assert len(families) > 10
    for family in families:
        assert family.name.startswith("kanjo_"), family.name
        assert family.documentation, family.name


def test_lateness_tells_apart_what_matters_to_a_live_call() -> None:
    metrics = Metrics()
    metrics.reading_lateness.observe(0.3)
    text = generate_latest(metrics.registry).decode()
    assert 'kanjo_reading_lateness_seconds_bucket{le="0.2"} 0.0' in text
    assert 'kanjo_reading_lateness_seconds_bucket{le="0.35"} 1.0' in text
    assert list(LATENESS_S) == sorted(LATENESS_S)
