"""The route that counts alerts and dismissals, a day and a queue."""

import time
from datetime import UTC, tzinfo
from http import HTTPStatus
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from service.api.period import From
from service.api.problem import HttpProblem
from service.api.services import ServicesDep
from service.store.summary import AlertSummary

router = APIRouter(prefix="/v1", tags=["alerts"])

DAYS_S = 7 * 86_400


@router.get("/alerts/summary")
async def summary(
    services: ServicesDep,
    since: From = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="not included")] = None,
    zone: Annotated[
        str, Query(max_length=64, description="whose days: UTC, or a name like Asia/Tokyo")
    ] = "UTC",
) -> AlertSummary:
    """Returns how many alerts fired and were dismissed, by day, queue and emotion.

    Without `to` up to now, without `from` in the week before that.
    """
    to = time.time() if until is None else until.timestamp()
    begin = to - DAYS_S if since is None else since.timestamp()
    return await services.store.summaries.alerts(begin, to, _zone(zone))


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # an unknown name, a folder's name, a path
        raise HttpProblem(
            HTTPStatus.BAD_REQUEST, f"zone {name!r}", "UTC, or a name like Asia/Tokyo"
        ) from None
