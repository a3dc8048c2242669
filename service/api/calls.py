"""Calls and alerts, as the store has them."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from service.api.problem import HttpProblem
from service.api.services import ServicesDep
from service.store.views import AlertPage, CallDetail, CallView

router = APIRouter(tags=["calls"])

Limit = Annotated[int, Query(ge=1, le=1000)]


class CallPage(BaseModel, frozen=True):
    """Live calls first, newest first; `cursor` is where `GET /events?after=` goes on from here."""

    cursor: str
    embedded: bool
    calls: list[CallView]


@router.get("/calls")
async def calls(services: ServicesDep, limit: Limit = 500) -> CallPage:
    """The calls that are live or were lately."""
    cursor = await services.store.cursor()  # before the calls: what happens between comes twice
    return CallPage(
        cursor=cursor, embedded=services.store.embedded, calls=await services.store.calls(limit)
    )


@router.get("/calls/{call_id:path}")
async def call(call_id: str, services: ServicesDep) -> CallDetail:
    """One call with its readings and alerts."""
    detail = await services.store.call(call_id)
    if detail is None:
        raise HttpProblem(HTTPStatus.NOT_FOUND, f"call_id {call_id!r}", "one of GET /calls")
    return detail


@router.get("/alerts")
async def alerts(services: ServicesDep, before: str | None = None, limit: Limit = 100) -> AlertPage:
    """Alerts that fired, newest first; `next` is the `before` of the page that follows."""
    return await services.store.alerts(before, limit)
