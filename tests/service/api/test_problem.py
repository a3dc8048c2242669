import logging

import pytest

from service.store.reader import Reader
from tests.service.api.conftest import Running, until


def test_an_unknown_path_is_a_problem(service: Running) -> None:
    response = service.get("/nothing/here")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not Found",
    }


def test_a_method_that_is_not_allowed_is_a_problem_that_names_the_allowed_ones(
    service: Running,
) -> None:
    with service.client() as client:
        response = client.put("/v1/calls")
    assert response.status_code == 405
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["allow"] == "GET"


def test_an_invalid_value_is_a_problem_with_what_came_and_what_was_expected(
    service: Running,
) -> None:
    response = service.get("/v1/alerts", params={"limit": "many" * 100})
    assert response.status_code == 400
    problem = response.json()
    assert problem["got"].startswith("limit 'many")
    assert len(problem["got"]) <= 200
    assert "integer" in problem["expected"]


def test_a_failure_of_the_service_is_a_problem_and_only_the_log_has_its_cause(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("an internal detail")

    monkeypatch.setattr(Reader, "alerts", fails)
    with caplog.at_level(logging.ERROR):
        response = service.get("/v1/alerts")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "the service failed; its log says why"
    until(lambda: "an internal detail" in caplog.text)
    assert service.get("/healthz").status_code == 200
