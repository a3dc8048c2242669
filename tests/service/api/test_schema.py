"""Requests that the description of the API allows, and some that it does not, at a real service.

Each response must be one that the description has: its status, its type, its body.
"""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.service.api.conftest import Running, call

ENDLESS = "/v1/events"
OPERATIONS = (
    ("/v1/calls", "GET"),
    ("/v1/calls/{call_id}", "GET"),
    ("/v1/calls/{call_id}", "DELETE"),
    ("/v1/calls/{call_id}/consent", "PUT"),
    ("/v1/alerts", "GET"),
    ("/v1/alerts.csv", "GET"),
    ("/v1/outbox", "GET"),
    ("/v1/audit", "GET"),
    ("/v1/webhooks", "GET"),
    ("/v1/webhooks/dead/{id}/retry", "POST"),
    ("/v1/alerts/summary", "GET"),
    ("/v1/alerts/{alert_id}/take", "POST"),
    ("/v1/alerts/{alert_id}/take-over", "POST"),
    ("/v1/alerts/{alert_id}/hand-over", "POST"),
    ("/v1/alerts/{alert_id}/note", "POST"),
    ("/v1/alerts/{alert_id}/dismiss", "POST"),
    ("/v1/alerts/{alert_id}/undo", "POST"),
    ("/v1/mutes", "GET"),
    ("/v1/mutes", "POST"),
    ("/v1/mutes/{mute_id}", "DELETE"),
)
# Those whose schema can't say all: zones that are unknown, times that are past or numbers.
LOOSE = (
    ("/v1/alerts", "GET"),
    ("/v1/alerts.csv", "GET"),
    ("/v1/alerts/summary", "GET"),
    ("/v1/mutes", "POST"),
)


@pytest.fixture(scope="module")
def described(service: Running) -> schemathesis.BaseSchema:
    call(service, "described")
    return schemathesis.openapi.from_url(f"http://{service.address}/openapi.json")


def test_all_paths_are_tested(described: schemathesis.BaseSchema) -> None:
    paths = {path for path in described if path.startswith("/v1/")}
    assert paths == {path for path, _ in OPERATIONS} | {ENDLESS}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_response_is_described(
    described: schemathesis.BaseSchema, path: str, method: str
) -> None:
    parameters = described[path][method].definition.raw.get("parameters")
    modes = [schemathesis.GenerationMode.POSITIVE]
    if parameters and method != "DELETE":  # which takes any text as an id
        modes = [*schemathesis.GenerationMode]
    rules = [positive_data_acceptance, negative_data_rejection]
    excluded = rules if (path, method) in LOOSE else []
    for mode in modes:

        @settings(
            max_examples=10, derandomize=True, deadline=None, suppress_health_check=[*HealthCheck]
        )
        @given(case=described[path][method].as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(excluded_checks=excluded)

        check()
