"""Routes that list the alerts of the past, as JSON and as CSV."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime

from model.labels import Emotion
from service.api.access import IdentityDep
from service.api.calls import Limit
from service.api.period import From
from service.api.services import ServicesDep
from service.cells import text_cell
from service.store.alert_filter import AlertFilter
from service.store.looks import HISTORY, LATEST
from service.store.reader import ALL
from service.store.views import AlertPage, AlertView

router = APIRouter(prefix="/v1", tags=["alerts"])

LONGEST_CSV = 10_000  # alerts, the newest of those that match
PAGE = 1000
COLUMNS = (
    *("alert_id", "fired_at", "call_id", "queue", "emotion", "state", "peak", "since_s"),
    *("resolved_at_s", "taken_by", "dismissed_by", "dismissed_why", "note"),
)

Text = Annotated[str | None, Query(max_length=500)]


def _filter(
    since: From = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="not included")] = None,
    queue: Text = None,
    emotion: Emotion | None = None,
    call_id: Text = None,
) -> AlertFilter:
    return AlertFilter(
        since.timestamp() if since else None,
        until.timestamp() if until else None,
        queue,
        emotion,
        call_id,
    )


FilterDep = Annotated[AlertFilter, Depends(_filter)]


@router.get("/alerts")
async def alerts(
    services: ServicesDep,
    identity: IdentityDep,
    wanted: FilterDep,
    before: str | None = None,
    limit: Limit = 100,
) -> AlertPage:
    """Returns alerts that fired, newest first; `next` is the `before` of the next page.

    With a filter a page may be shorter than its limit although another one follows. The
    audit records who looked.
    """
    looks = services.store.looks
    is_past = before is not None or wanted != ALL
    await looks.at_list(identity.name, HISTORY if is_past else LATEST)
    page = await services.store.reader.alerts(before, limit, wanted)
    if wanted.call_id is not None:
        for session in sorted({alert.session for alert in page.alerts if alert.session}):
            await looks.at_call(identity.name, session)
    return page


@router.get("/alerts.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
async def alerts_as_csv(
    services: ServicesDep, identity: IdentityDep, wanted: FilterDep
) -> Response:
    """Returns the newest 10,000 alerts that match as CSV, without agents.

    A text that a spreadsheet would take for a formula begins with an apostrophe. The audit records
    who asked.
    """
    await services.store.audit.add(identity.name, "exported", detail="alerts")
    found: list[AlertView] = []
    before: str | None = None
    while len(found) < LONGEST_CSV:
        page = await services.store.reader.alerts(before, PAGE, wanted)
        found += page.alerts
        before = page.next
        if before is None:
            break
    name = {"Content-Disposition": 'attachment; filename="kanjo-alerts.csv"'}
    return Response(as_csv(found[:LONGEST_CSV]), media_type="text/csv; charset=utf-8", headers=name)


def as_csv(alerts: Iterable[AlertView]) -> str:
    """Returns a table with a header, a row an alert."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for alert in alerts:
        at = datetime.fromtimestamp(alert.at, UTC).isoformat(timespec="seconds") if alert.at else ""
        taken, dismissed, note = alert.taken, alert.dismissed, alert.note
        rows.writerow(
            [
                *(
                    text_cell(alert.alert_id),
                    at,
                    text_cell(alert.call_id),
                    text_cell(alert.queue or ""),
                ),
                *(alert.emotion, alert.state, f"{alert.peak:.2f}", f"{alert.since_s:.1f}"),
                "" if alert.resolved_at_s is None else f"{alert.resolved_at_s:.1f}",
                text_cell(taken.by if taken else ""),
                text_cell(dismissed.by if dismissed else ""),
                dismissed.why if dismissed else "",
                text_cell(note.text if note else ""),
            ]
        )
    return text.getvalue()
