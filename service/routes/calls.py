"""Calls and alerts, as the store has them."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from service.routes.parts import PartsDep
from service.routes.problem import Problem
from service.views import AlertPage, CallDetail, CallView

router = APIRouter(tags=["calls"])

Limit = Annotated[int, Query(ge=1, le=1000)]


class CallPage(BaseModel, frozen=True):
    """Live calls first, newest first; `cursor` is where `GET /events?after=` goes on from here."""

    cursor: str
    embedded: bool
    calls: list[CallView]


@router.get("/calls")
async def calls(parts: PartsDep, limit: Limit = 500) -> CallPage:
    """The calls that are live or were lately."""
    cursor = await parts.store.cursor()  # before the calls: what happens between comes twice
    return CallPage(
        cursor=cursor, embedded=parts.store.embedded, calls=await parts.store.calls(limit)
    )


@router.get("/calls/{call_id:path}")
async def call(call_id: str, parts: PartsDep) -> CallDetail:
    """One call with its readings and alerts."""
    detail = await parts.store.call(call_id)
    if detail is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"call_id {call_id!r}", "one of GET /calls")
    return detail


@router.get("/alerts")
async def alerts(parts: PartsDep, before: str | None = None, limit: Limit = 100) -> AlertPage:
    """Alerts that fired, newest first; `next` is the `before` of the page that follows."""
    return await parts.store.alerts(before, limit)
