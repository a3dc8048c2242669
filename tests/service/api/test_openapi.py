"""The description of the HTTP API says what really comes."""

from typing import Any

import httpx
import jsonschema
import pytest

from service.api.events import EventSourceResponse
from tests.service.api.conftest import Running, call
from tests.service.api.test_alerts import fired

Json = dict[str, Any]


@pytest.fixture(scope="module")
def described(service: Running) -> Json:
    body: Json = service.get("/openapi.json").json()
    return body


def check(described: Json, path: str, response: httpx.Response, method: str = "get") -> None:
    """Asserts that a response has a status, a type and a body that are described."""
    responses = described["paths"][path][method]["responses"]
    status = str(response.status_code)
    assert status in responses, (path, status)
    kind = response.headers["content-type"].partition(";")[0]
    content = responses[status].get("content", {})
    assert kind in content, (path, status, kind)
    schema = content[kind].get("schema", {})
    if kind.endswith("json"):
        whole = {**schema, "components": described["components"]}
        jsonschema.validate(response.json(), whole)
    if status == "503" and kind == "application/problem+json":
        assert "retry-after" in response.headers
        assert "Retry-After" in responses[status]["headers"]


def test_what_routes_return_is_described(service: Running, described: Json) -> None:
    call(service, "described")
    for path in (
        "/v1/calls",
        "/v1/alerts",
        "/v1/audit",
        "/v1/mutes",
        "/v1/alerts/summary",
        "/v1/outbox",
        "/healthz",
        "/readyz",
    ):
        check(described, path, service.get(path))
    check(described, "/v1/calls/{call_id}", service.get("/v1/calls/described"))


@pytest.mark.parametrize(
    ("path", "target", "status"),
    [
        ("/v1/calls", "/v1/calls?limit=0", 400),
        ("/v1/alerts", "/v1/alerts?limit=many", 400),
        ("/v1/events", "/v1/events?after=nonsense", 400),
        ("/v1/calls", "/v1/calls?before=nonsense", 400),
        ("/v1/audit", "/v1/audit?before=nonsense", 400),
        ("/v1/calls/{call_id}", "/v1/calls/nobody", 404),
        ("/v1/calls/{call_id}", "/v1/calls/described?before=nonsense", 400),
        ("/v1/calls/{call_id}", "/v1/calls/described?limit=1001", 400),
    ],
)
def test_errors_of_input_are_described(
    service: Running, described: Json, path: str, target: str, status: int
) -> None:
    response = service.get(target)
    assert response.status_code == status
    check(described, path, response)


def test_errors_of_actions_are_described(service: Running, described: Json) -> None:
    with service.client() as client:
        for body, status in (({"id": "openapi-1"}, 404), ({"id": "short"}, 400)):
            response = client.post("/v1/alerts/nobody/take", json=body)
            assert response.status_code == status
            check(described, "/v1/alerts/{alert_id}/take", response, "post")
        alert = fired(service, "described too")
        body = {"id": "openapi-2", "to": "Ann Lee"}
        response = client.post(f"/v1/alerts/{alert['alert_id']}/hand-over", json=body)
    assert response.status_code == 409
    assert response.json()["reason"] == "not_taken"
    check(described, "/v1/alerts/{alert_id}/hand-over", response, "post")
    conflict = described["paths"]["/v1/alerts/{alert_id}/hand-over"]["post"]["responses"]["409"]
    (content,) = conflict["content"].values()
    assert content["schema"] == {"$ref": "#/components/schemas/AlertProblem"}


def test_problems_of_the_store_are_not_described_as_those_of_requests(described: Json) -> None:
    schemas = described["components"]["schemas"]
    item = schemas["OutboxState"]["properties"]["problems"]["items"]
    assert schemas[item["$ref"].rsplit("/", 1)[1]]["properties"].keys() == {"what", "since"}
    assert {"title", "detail"} < schemas["ProblemDetails"]["properties"].keys()


def test_what_is_told_of_readiness_is_described(service: Running, described: Json) -> None:
    told = service.get("/readyz").json()
    check(described, "/readyz", httpx.Response(200, json={"ready": told["ready"]}))  # to strangers
    assert told.keys() == described["components"]["schemas"]["Readiness"]["properties"].keys()


def test_every_route_describes_refusals_of_foreign_pages(service: Running, described: Json) -> None:
    for path, operations in described["paths"].items():
        target = path.replace("{call_id}", "c1")
        for method in operations:
            for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
                with service.client() as client:
                    response = client.request(method, target, headers=headers)
                check(described, path, response, method)


def test_errors_of_uploads_are_described(service: Running, described: Json) -> None:
    with service.client() as client:
        for more in (
            {"files": {"file": ("a.wav", b"no audio")}},
            {"content": b"no form"},
            {"files": {"other": ("a.wav", b"")}},
        ):
            response = client.post("/classify", **more)  # type: ignore[arg-type]
            assert response.status_code in (400, 415)
            check(described, "/classify", response, "post")


def test_no_status_is_described_that_never_comes(described: Json) -> None:
    text = str(described)
    assert "HTTPValidationError" not in text
    for operations in described["paths"].values():
        assert all("422" not in operation["responses"] for operation in operations.values())


def test_the_events_are_described(described: Json) -> None:
    content = described["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]
    assert list(content) == [EventSourceResponse.media_type or "text/event-stream"]
    assert {"CallView", "ReadingView", "AlertView"} <= set(described["components"]["schemas"])
