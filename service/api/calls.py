"""The routes that list calls, and that return one with its readings and alerts."""

import time
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

RECENT_S = 300.0  # readings as old as this have been sent to everybody who reads the events

Limit = Annotated[int, Query(ge=1, le=1000, description="the longest page")]


def before(pattern: str) -> Any:
    """Returns the parameter with which a page continues; the store checks it."""
    # None is the default, no value: a text of this pattern is all that may be sent.
    described = {"type": "string", "pattern": f"^{pattern}$"}
    return Query(description="`next` of an earlier page", json_schema_extra=described)


BeforeCall = Annotated[str | None, before(CALLS_PATTERN)]
BeforeReading = Annotated[str | None, before(ENTRY_PATTERN)]
Recent = Annotated[
    bool, Query(description="only the readings of the last 5 minutes, as a list of calls shows")
]


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
    recent: Recent = False,
) -> CallDetail:
    """Returns one call with its last `limit` readings, or those before them, and its alerts.

    The audit records who looked at it, unless they read what was recent of a call that is live,
    or was until 5 minutes ago.
    """
    detail = await services.store.call(call_id, before, limit)
    if detail is None:
        raise HttpProblem(HTTPStatus.NOT_FOUND, f"call_id {call_id!r}", "one of GET /v1/calls")
    since = time.time() - RECENT_S
    if not recent or (detail.ended_at is not None and detail.ended_at < since):
        await services.store.looks.at_call(identity.name, detail.session)
    if recent:
        detail = _without_readings_before(since, detail)
    return services.numbers.call(identity, detail)


def _without_readings_before(since: float, detail: CallDetail) -> CallDetail:
    """Returns the call with the readings that came after a time, epoch seconds."""
    readings = [reading for reading in detail.readings if reading.at >= since]
    earlier = detail.next if len(readings) == len(detail.readings) else None
    return detail.model_copy(update={"readings": readings, "next": earlier})
