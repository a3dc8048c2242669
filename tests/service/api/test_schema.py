"""Requests that the description of the API allows, and some that it does not, at a real service.

Each response must be one that the description has: its status, its type, its body.
"""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.service.api.conftest import Running, call

ENDLESS = "/v1/events"
PATHS = ("/v1/calls", "/v1/calls/{call_id}", "/v1/alerts", "/v1/outbox")


@pytest.fixture(scope="module")
def described(service: Running) -> schemathesis.BaseSchema:
    call(service, "described")
    return schemathesis.openapi.from_url(f"http://{service.address}/openapi.json")


def test_all_paths_are_tested(described: schemathesis.BaseSchema) -> None:
    assert {path for path in described if path.startswith("/v1/")} == {*PATHS, ENDLESS}


@pytest.mark.parametrize("path", PATHS)
def test_every_response_is_described(described: schemathesis.BaseSchema, path: str) -> None:
    parameters = described[path]["GET"].definition.raw.get("parameters")
    modes = [*schemathesis.GenerationMode] if parameters else [schemathesis.GenerationMode.POSITIVE]
    for mode in modes:

        @settings(
            max_examples=10, derandomize=True, deadline=None, suppress_health_check=[*HealthCheck]
        )
        @given(case=described[path]["GET"].as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate()

        check()
