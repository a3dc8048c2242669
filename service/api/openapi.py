"""The description of the HTTP API: FastAPI's own, with the errors that really come."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from service.alerts.lifecycle import Reason
from service.api.access import ROLES, route_of
from service.api.problem import RETRY_AFTER_S
from service.store.views import (
    AlertView,
    CallErased,
    CallView,
    HeartbeatView,
    MutesView,
    ReadingView,
)

DESCRIPTION = """How callers sound, while they are still talking.

Calls come over websockets, one path a provider (`/calls/PROVIDER`), which this description cannot
hold: the providers' pages in `service/telephony` say how. Every error is a problem (RFC 9457).
Where access is closed: `Authorization: Bearer TOKEN`, with a token of `kanjo token create`.
"""

TAGS = [
    {"name": "calls", "description": "Calls, readings and alerts, and their events as they come."},
    {"name": "alerts", "description": "What people do with alerts."},
    {"name": "classify", "description": "How the speaker of a recording sounds."},
    {"name": "audit", "description": "Who did what to calls and alerts."},
    {"name": "webhooks", "description": "Receivers outside, and what did not reach them."},
    {"name": "health", "description": "For supervisors: alive, ready, degraded, metrics."},
]


class ProblemDetails(BaseModel):
    """The body of every error, as RFC 9457 has it."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Bad Request"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["got limit '0': greater than or equal to 1"])
    got: str | None = Field(None, description="what came, if the service found the problem itself")
    expected: str | None = Field(None, description="what should have come")


class AlertProblem(ProblemDetails):
    """Why an action on an alert was not done, and the alert as it is."""

    reason: Reason | Literal["id_in_use"]
    by: str | None = Field(None, description="who has taken or dismissed it, if that is why")
    at: float | None = Field(None, description="since when, epoch seconds")
    alert: AlertView


PROBLEMS: tuple[type[BaseModel], ...] = (ProblemDetails, AlertProblem)
PROBLEM_TYPE = "application/problem+json"
OF_ONE_ALERT = "/v1/alerts/{alert_id}/"
REFERENCE = "#/components/schemas/{model}"
RETRY_AFTER = {"description": "seconds", "schema": {"type": "integer", "example": RETRY_AFTER_S}}
EXAMPLE = 'id: 1764275000000-0\nevent: alert\ndata: {"call_id":"c1","emotion":"anger",...}\n\n'

EVERYWHERE = {
    403: "a page of another site asks, or the sender's role is too low",
    421: "the request names a host that is not the service's",
}
WITH_ROLE = {401: "no credentials, or wrong ones"}
WITH_INPUT = {400: "a parameter or the body can't be used"}
OF_CALLS = {503: "Redis, from which this is read, is away"}
UNKNOWN_CALL = {404: "no such call"}
ENDED_CALL = {409: "the call has ended"}
OF_ALERTS = {
    404: "no such alert",
    409: "not done, for the `reason`: perhaps somebody else (`by`) has the alert, which is `alert`",
}
OF_DEAD_LETTERS = {404: "no such dead letter", 409: "its receiver is stopped or was removed"}
TOO_MANY_MUTES = {409: "as many mutes as are allowed"}

EVENTS: Mapping[str, type[BaseModel]] = {
    "call_started": CallView,
    "reading": ReadingView,
    "alert": AlertView,
    "mutes": MutesView,
    "call_ended": CallView,
    "call_erased": CallErased,
    "heartbeat": HeartbeatView,
}


def install(app: FastAPI) -> None:
    """Makes the app describe itself at /openapi.json, once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _description(app: FastAPI) -> dict[str, Any]:
    described = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
    )
    for path, operations in described["paths"].items():
        for operation in operations.values():
            _correct(path, operation)
    schemas = described["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # of FastAPI's 422, which never comes
        schemas.pop(name, None)
    for model in (*PROBLEMS, *EVENTS.values()):
        schema = model.model_json_schema(ref_template=REFERENCE, mode="serialization")
        schemas.update(schema.pop("$defs", {}))
        schemas.setdefault(model.__name__, schema)
    return described


def _correct(path: str, operation: dict[str, Any]) -> None:
    """Gives an operation the errors that really come from it, with their schema."""
    responses = operation["responses"]
    has_input = responses.pop("422", None) is not None
    errors = dict(EVERYWHERE)
    if ROLES.get(route_of(path) or "") is not None:
        errors |= WITH_ROLE
    if has_input:
        errors |= WITH_INPUT
    if path.startswith("/v1/") and path not in ("/v1/outbox", "/v1/events", "/v1/webhooks"):
        errors |= OF_CALLS
    if path.startswith("/v1/calls/{call_id}"):
        errors |= UNKNOWN_CALL
    if path.endswith("/consent"):
        errors |= ENDED_CALL
    if path.startswith(OF_ONE_ALERT):
        errors |= OF_ALERTS
    if path == "/v1/mutes" and "requestBody" in operation:
        errors |= TOO_MANY_MUTES
    if path.startswith("/v1/webhooks/dead/"):
        errors |= OF_DEAD_LETTERS
    for status, text in errors.items():
        responses.setdefault(str(status), {"description": text, "content": {PROBLEM_TYPE: {}}})
    for status, response in responses.items():
        content = response.get("content", {})
        if PROBLEM_TYPE in content:
            of_alert = status == "409" and path.startswith(OF_ONE_ALERT)
            model = AlertProblem if of_alert else ProblemDetails
            content[PROBLEM_TYPE] = {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}
            if status == "503":
                response["headers"] = {"Retry-After": RETRY_AFTER}
    if path == "/v1/events":
        responses["200"] = {
            "description": "Events without end; `data` of each is JSON. "
            + ", ".join(f"`{name}`: {model.__name__}" for name, model in EVENTS.items())
            + ", `resync`: events are missing, load everything again.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
        }
