"""The routes that list calls, and that return one with its readings and alerts."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query

from service.api.access import IdentityDep
from service.api.problem import HttpProblem
from service.api.services import ServicesDep
from service.store.cursors import CALLS_PATTERN, ENTRY_PATTERN
from service.store.reader import READINGS_PAGE
from service.store.views import CallDetail, CallPage

router = APIRouter(prefix="/v1", tags=["calls"])

Limit = Annotated[int, Query(ge=1, le=1000, description="the longest page")]


def before(pattern: str) -> Any:
    """Returns the parameter with which a page continues; the store checks it."""
    # None is the default, no value: a text of this pattern is all that may be sent.
    described = {"type": "string", "pattern": f"^{pattern}$"}
    return Query(description="`next` of an earlier page", json_schema_extra=described)


BeforeCall = Annotated[str | None, before(CALLS_PATTERN)]
BeforeReading = Annotated[str | None, before(ENTRY_PATTERN)]


class CallsAsOf(CallPage, frozen=True):
    """A page of calls, and the event from which `GET /v1/events?after={cursor}` continues."""

    cursor: str
    embedded: bool


@router.get("/calls")
async def calls(
    services: ServicesDep, identity: IdentityDep, before: BeforeCall = None, limit: Limit = 500
) -> CallsAsOf:
    """Returns the calls that are live, newest first, then those that ended within the retention."""
    # The cursor first: an event between the two reads is then repeated, not missed.
    cursor = await services.store.cursor()
    page = await services.store.calls(before, limit)
    return CallsAsOf(
        calls=[services.numbers.call(identity, call) for call in page.calls],
        next=page.next,
        cursor=cursor,
        embedded=services.store.embedded,
    )


@router.get("/calls/{call_id:path}")
async def call(
    call_id: str,
    services: ServicesDep,
    identity: IdentityDep,
    before: BeforeReading = None,
    limit: Limit = READINGS_PAGE,
) -> CallDetail:
    """Returns one call with its last `limit` readings, or those before them, and its alerts."""
    detail = await services.store.call(call_id, before, limit)
    if detail is None:
        raise HttpProblem(HTTPStatus.NOT_FOUND, f"call_id {call_id!r}", "one of GET /v1/calls")
    return services.numbers.call(identity, detail)
