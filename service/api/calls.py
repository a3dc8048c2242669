"""Routes that list calls and alerts."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from service.api.problem import HttpProblem
from service.api.services import ServicesDep
from service.store.views import AlertPage, CallDetail, CallView

router = APIRouter(prefix="/v1", tags=["calls"])

Limit = Annotated[int, Query(ge=1, le=1000)]


class CallPage(BaseModel, frozen=True):
    """Live calls first, then the newest; `GET /v1/events?after={cursor}` continues from here."""

    cursor: str
    embedded: bool
    calls: list[CallView]


@router.get("/calls")
async def calls(services: ServicesDep, limit: Limit = 500) -> CallPage:
    """Returns the calls that are live, then those that ended within the retention."""
    # The cursor first: an event between the two reads is then repeated, not missed.
    cursor = await services.store.cursor()
    return CallPage(
        cursor=cursor, embedded=services.store.embedded, calls=await services.store.calls(limit)
    )


@router.get("/calls/{call_id:path}")
async def call(call_id: str, services: ServicesDep) -> CallDetail:
    """Returns one call with its readings and alerts."""
    detail = await services.store.call(call_id)
    if detail is None:
        raise HttpProblem(HTTPStatus.NOT_FOUND, f"call_id {call_id!r}", "one of GET /v1/calls")
    return detail


@router.get("/alerts")
async def alerts(services: ServicesDep, before: str | None = None, limit: Limit = 100) -> AlertPage:
    """Returns alerts that fired, newest first; `next` is the `before` of the next page."""
    return await services.store.alerts(before, limit)
