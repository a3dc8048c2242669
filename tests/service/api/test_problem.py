import logging

import pytest

from service.store.store import Store
from tests.service.api.conftest import Running, until


def test_a_path_that_leads_nowhere_is_a_problem(service: Running) -> None:
    response = service.get("/nothing/here")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not Found",
    }


def test_a_method_that_is_not_offered_is_a_problem_that_names_those_that_are(
    service: Running,
) -> None:
    with service.client() as client:
        response = client.put("/calls")
    assert response.status_code == 405
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["allow"] == "GET"


def test_an_impossible_value_is_a_problem_that_says_what_came_and_what_was_expected(
    service: Running,
) -> None:
    response = service.get("/alerts", params={"limit": "many" * 100})
    assert response.status_code == 400
    problem = response.json()
    assert problem["got"].startswith("limit 'many")
    assert len(problem["got"]) <= 200
    assert "integer" in problem["expected"]


def test_a_fault_of_ours_is_a_problem_and_its_cause_is_in_the_log_alone(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(Store, "alerts", fails)
    with caplog.at_level(logging.ERROR):
        response = service.get("/alerts")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "the service failed; its log says why"
    until(lambda: "a secret of the house" in caplog.text)
    assert service.get("/healthz").status_code == 200
