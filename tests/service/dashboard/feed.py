"""A server for the page whose calls, readings and alerts the test decides."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

import service
from tests.limits import ENOUGH_S

BEAT_S = 0.3

PAGE = Path(service.__file__).parent / "dashboard"


Json = dict[str, Any]


NEUTRAL = {"anger": 0.06, "happiness": 0.08, "sadness": 0.11, "neutral": 0.75}


ANGRY = {"anger": 0.83, "happiness": 0.05, "sadness": 0.02, "neutral": 0.10}


HAPPY = {"anger": 0.02, "happiness": 0.90, "sadness": 0.03, "neutral": 0.05}


class Feed:
    """A stand-in for the service's data: what it would answer, and every change as an event."""

    def __init__(self) -> None:
        self.calls: dict[str, Json] = {}
        self.readings: dict[str, list[Json]] = {}
        self.alerts: dict[str, Json] = {}
        self.events: list[tuple[str, Json]] = []
        self.embedded = False
        self.problems: list[Json] = []
        self.room = True  # for more calls
        self.mutes: list[Json] = []
        self.counts: list[Json] = []  # of the history
        self.ahead_s = 0.0  # of the browser's clock
        self.stopped_at: float | None = None  # the time at which its clock was stopped
        self.after_calls: Callable[[], None] = lambda: None
        self.mute = False  # connected, but no event comes through
        self.pages_read = 0  # of readings
        self.beat = {  # the heartbeat, sent more often than it says
            "every_s": 5.0,
            "start_id": "first",
            "started_at": time.time() - 3600,
            "redis": "up",
            "oldest_waiting_write_s": 0.0,
            "live_calls": 0,
            "unconfirmed": [],
        }
        self.role = "admin"
        self.asked: list[Json] = []  # queries of lists of alerts
        self.acts: list[Json] = []  # what the page asked to do with alerts
        self.refusal: Json | None = None  # the answer to it, instead of doing it
        self.audit: list[Json] = []  # what is told of who did what
        self.proxy_html = False  # a proxy in between answers everything with its own page

    def now(self) -> float:
        return (self.stopped_at or time.time()) + self.ahead_s

    def stop_clock(self) -> float:
        """Stops the clock at a whole second, of which the HTTP header `Date` has no parts."""
        self.stopped_at = float(int(time.time()))
        return self.stopped_at

    def emit(self, name: str, data: Json) -> None:
        self.events.append((name, json.loads(json.dumps(data))))

    def start(self, call_id: str, ago_s: float = 0.0, **fields: Any) -> Json:
        call = {
            "call_id": call_id,
            "session": "first",
            "bridge": "twilio",
            "tracks": ["caller", "agent"],
            "metadata": {},
            "state": "live",
            "started_at": self.now() - ago_s,
            "ended_at": None,
            "reason": None,
            "duration_s": None,
            "last": {},
        } | fields
        self.calls[call_id] = call
        self.readings[call_id] = []
        self.emit("call_started", call)
        return call

    def end(self, call_id: str, ago_s: float = 0.0, reason: str = "hangup") -> None:
        call = self.calls[call_id]
        ended_at = self.now() - ago_s
        duration_s = ended_at - call["started_at"]
        call |= {"state": "ended", "ended_at": ended_at, "reason": reason, "duration_s": duration_s}
        self.emit("call_ended", call)

    def read(
        self,
        call_id: str,
        end_s: float,
        probabilities: dict[str, float],
        heard_s: float = 1.0,
        track: str = "caller",
    ) -> Json:
        reading = {
            "call_id": call_id,
            "number": len(self.readings[call_id]) + 1,
            "track": track,
            "start_s": max(0.0, end_s - 7.5),
            "end_s": end_s,
            "heard_s": heard_s,
            "probabilities": probabilities,
            "at": self.now(),
        }
        self.readings[call_id].append(reading)
        self.calls[call_id]["last"][track] = reading
        self.emit("reading", reading)
        return reading

    def alert(
        self,
        call_id: str,
        state: str,
        since_s: float = 10.0,
        emotion: str = "anger",
        probability: float = 0.83,
        fired_after_s: float = 3.0,
        resolved_at_s: float | None = None,
        alert_id: str | None = None,
    ) -> Json:
        alert_id = alert_id or f"{call_id}:{emotion}:{since_s}"
        fired = state in ("firing", "resolved")
        fired_at_s = since_s + fired_after_s if fired else None
        at = self.calls[call_id]["started_at"] + fired_at_s if fired_at_s else None
        word = {"anger": "angry", "happiness": "happy"}[emotion]
        alert = {
            "alert_id": alert_id,
            "number": {"pending": 1, "firing": 2, "lapsed": 2, "resolved": 3}[state],
            "call_id": call_id,
            "track": "caller",
            "emotion": emotion,
            "state": state,
            "since_s": since_s,
            "fired_at_s": fired_at_s,
            "resolved_at_s": resolved_at_s,
            "at": at,
            "peak": 0.91,
            "probability": probability,
            "text": f"sounds {word} ({probability:.2f})",
        }
        self.alerts[alert_id] = alert
        self.emit("alert", alert)
        return alert

    def did(self, alert_id: str, **fields: Any) -> Json:
        """Changes an alert by what people do, and returns it."""
        alert = self.alerts[alert_id]
        alert |= {"version": alert.get("version", 0) + 1, **fields}
        self.emit("alert", alert)
        return alert


def app_of(feed: Feed, server: "Server") -> FastAPI:
    app = FastAPI()

    app.mount("/dashboard", StaticFiles(directory=PAGE))

    @app.get("/")
    async def index() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/session")
    async def session() -> Json:
        return {
            "name": "local",
            "role": feed.role,
            "can_log_out": False,
            "single_sign_on": False,
        }

    @app.get("/v1/calls")
    async def calls(response: Response, limit: int) -> Json:
        response.headers["date"] = formatdate(feed.now(), usegmt=True)
        cursor = str(len(feed.events))
        page = sorted(feed.calls.values(), key=lambda c: (c["state"] != "live", -c["started_at"]))
        answer = json.loads(json.dumps(page[:limit]))
        feed.after_calls()
        return {"cursor": cursor, "embedded": feed.embedded, "calls": answer, "next": None}

    @app.get("/v1/calls/{call_id:path}")
    async def call(call_id: str, limit: int, before: int | None = None) -> Json:
        if call_id not in feed.calls:
            raise HTTPException(404)
        feed.pages_read += 1
        alerts = [alert for alert in feed.alerts.values() if alert["call_id"] == call_id]
        readings = feed.readings[call_id][:before]
        page = {"readings": readings[-limit:], "next": None, "alerts": alerts}
        if len(readings) > limit:
            page["next"] = str(len(readings) - limit)
        return feed.calls[call_id] | page

    @app.delete("/v1/calls/{call_id:path}", status_code=204)
    async def purge(call_id: str) -> None:
        feed.acts.append({"action": "purge", "call_id": call_id})
        del feed.calls[call_id]

    @app.get("/v1/alerts")
    async def alerts(request: Request, limit: int) -> Json:
        if len(request.query_params) > 1:
            feed.asked.append(dict(request.query_params))
        return {"alerts": list(feed.alerts.values())[-limit:][::-1], "next": None}

    @app.post("/v1/alerts/{alert_id}/{action}")
    async def act(alert_id: str, action: str, body: Json) -> Response:
        feed.acts.append({"action": action, **body})
        if feed.refusal:
            return JSONResponse(feed.refusal, 409, media_type="application/problem+json")
        by = {"by": "local", "at": feed.now()}
        match action:
            case "take" | "take-over":
                done = {"taken": by}
            case "hand-over":
                done = {"taken": {"by": body["to"], "at": feed.now(), "handed_over_by": "local"}}
            case "note":
                done = {"note": {"text": body["text"], **by}}
            case "dismiss":
                done = {"dismissed": {"why": body["why"], **by}}
            case _:
                done = {"taken": None, "dismissed": None}
        return JSONResponse(feed.did(alert_id, **done))

    @app.get("/readyz")
    async def readyz() -> Json:
        return {"ready": True, "room_for_calls": feed.room, "degraded": feed.problems}

    @app.get("/v1/mutes")
    async def mutes() -> Json:
        return {"mutes": feed.mutes}

    @app.post("/v1/mutes")
    async def mute(body: Json) -> Json:
        feed.acts.append({"action": "mute", **body})
        feed.mutes.append({"mute_id": body["id"], "by": "local", "at": feed.now(), **body})
        return {"mutes": feed.mutes}

    @app.delete("/v1/mutes/{mute_id}")
    async def unmute(mute_id: str) -> Json:
        feed.mutes = [mute for mute in feed.mutes if mute["mute_id"] != mute_id]
        return {"mutes": feed.mutes}

    @app.get("/v1/audit")
    async def audit(session: str, limit: int, before: int = 0) -> Json:
        page = feed.audit[before : before + 2]  # shorter than the limit, as the service's may be
        following = before + 2 < len(feed.audit)
        found = [entry for entry in page if entry["session"] == session]
        return {"entries": found, "next": str(before + 2) if following else None}

    @app.get("/v1/alerts/summary")
    async def summary() -> Json:
        return {"counts": feed.counts}

    @app.get("/v1/events")
    async def events(request: Request, after: int) -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            sent = after
            yield ": hello\n\n"
            beat_at = 0.0
            while not server.should_exit and not await request.is_disconnected():
                if not feed.mute and time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + BEAT_S
                    beat = json.dumps({"at": feed.now(), **feed.beat})
                    yield f"event: heartbeat\ndata: {beat}\n\n"
                for name, data in [] if feed.mute else feed.events[sent:]:
                    sent += 1
                    yield f"id: {sent}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
                await asyncio.sleep(0.02)

        return StreamingResponse(stream(), media_type="text/event-stream")

    return app


def behind_a_proxy(app: ASGIApp, feed: Feed) -> ASGIApp:
    """Returns the app behind a proxy that answers with a page of its own if it is told to."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if feed.proxy_html and scope.get("path", "").startswith("/v1/"):
            page = Response("<html>Bad gateway</html>", 502, media_type="text/html")
            await page(scope, receive, send)
        else:
            await app(scope, receive, send)

    return proxy


class Server(uvicorn.Server):
    """The page's service in a thread of its own; it can be stopped and started on the same port."""

    def __init__(self, feed: Feed, port: int = 0) -> None:
        super().__init__(
            uvicorn.Config(
                behind_a_proxy(app_of(feed, self), feed),
                port=port,
                log_level="warning",
                ws="none",
                date_header=False,
            )
        )
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "Server":
        self.thread.start()
        wait_until(lambda: self.started)
        self.port = self.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join()


def wait_until(holds: Callable[[], Any], within_s: float = ENOUGH_S) -> None:
    """Returns as soon as `holds` succeeds; an assertion in it that fails is tried again."""
    deadline = time.monotonic() + within_s
    while True:
        late = time.monotonic() > deadline
        try:
            if holds() is not False:
                return
        except Exception:
            if late:
                raise
        assert not late, f"still not so after {within_s} s"
        time.sleep(0.03)
