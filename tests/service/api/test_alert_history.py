"""Alerts of the past: filters, and the table for spreadsheets."""

import csv
import io

import pytest

from model.labels import Emotion
from service.alerts.lifecycle import Why
from service.api.alert_history import as_csv
from service.events import AlertState, Track
from service.store.alert_filter import AlertFilter
from service.store.views import AlertView, DismissedView, NoteView
from tests.service.api.conftest import Running
from tests.service.api.test_alerts import fired

VIEW = AlertView(
    alert_id="a-1",
    call_id="call",
    queue="billing",
    track=Track.CALLER,
    emotion=Emotion.ANGER,
    state=AlertState.RESOLVED,
    since_s=1.0,
    at=1000.0,
    peak=0.9,
    probability=0.3,
)


@pytest.mark.parametrize(
    ("wanted", "is_there"),
    [
        (AlertFilter(), True),
        (AlertFilter(since=1000.0, until=1000.1), True),
        (AlertFilter(since=1000.1), False),
        (AlertFilter(until=1000.0), False),
        (AlertFilter(queue="billing", emotion=Emotion.ANGER, call_id="call"), True),
        (AlertFilter(queue="sales"), False),
        (AlertFilter(emotion=Emotion.HAPPINESS), False),
        (AlertFilter(call_id="cal"), False),
    ],
)
def test_a_filter_matches_exactly(wanted: AlertFilter, is_there: bool) -> None:
    assert wanted.matches(VIEW) is is_there


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-1", "@SUM(A1)", "\t=1", "  =1", "\r=1"])
def test_no_cell_is_taken_for_a_formula(text: str) -> None:
    view = VIEW.model_copy(
        update={
            "call_id": text,
            "queue": text,
            "note": NoteView(text=text, by=text, at=1.0),
            "dismissed": DismissedView(why=Why.OTHER, by=text, at=1.0),
        }
    )
    [row] = csv.DictReader(io.StringIO(as_csv([view]), newline=""))
    assert {row[name] for name in ("call_id", "queue", "note", "dismissed_by")} == {f"'{text}"}
    assert row["dismissed_why"] == "other"
    assert not any("agent" in name for name in row)


def test_alerts_are_found_by_call_and_time_a_page_at_a_time(service: Running) -> None:
    ours = [fired(service, "sought"), fired(service, "sought")]
    fired(service, "another")
    params = {"call_id": "sought", "emotion": "anger", "limit": 1}
    found, before = [], None
    for _ in range(50):
        more = {"before": before} if before else {}
        page = service.get("/v1/alerts", params={**params, **more}).json()
        found += page["alerts"]
        before = page["next"]
        if before is None:
            break
    assert {alert["alert_id"] for alert in found} >= {alert["alert_id"] for alert in ours}
    assert {alert["call_id"] for alert in found} == {"sought"}
    newest = found[0]["at"]
    older = service.get("/v1/alerts", params={"call_id": "sought", "to": newest}).json()
    assert newest not in [alert["at"] for alert in older["alerts"]]
    later = service.get("/v1/alerts", params={"from": newest + 1000}).json()
    assert later == {"alerts": [], "next": None}


def test_the_table_is_a_download_that_the_audit_knows(service: Running) -> None:
    alert = fired(service, "=exported")
    response = service.get("/v1/alerts.csv", params={"call_id": "=exported"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [row["call_id"] for row in rows] == ["'=exported"] * len(rows)
    assert alert["alert_id"] in [row["alert_id"] for row in rows]
    entry = service.get("/v1/audit").json()["entries"][0]
    assert (entry["action"], entry["detail"]) == ("exported", "alerts")
