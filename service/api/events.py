"""The route that streams what happens in calls, as server-sent events."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus

from service.access.roles import Role
from service.api.access import presented_by
from service.api.services import ServicesDep

router = APIRouter(prefix="/v1", tags=["calls"])

PING_S = 10

# The server ends the streams when live calls have ended. The library would cut them off at the
# signal to stop, without the end of the response, and in every later server of the process.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


@router.get("/events", response_class=EventSourceResponse)
async def events(
    request: Request,
    services: ServicesDep,
    after: Annotated[str | None, Query(description="`cursor` of GET /v1/calls")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventSourceResponse:
    """Streams call_started, reading, alert, mutes, call_ended, call_erased and heartbeat events.

    `resync` stands where events are missing: the client must load everything again. A heartbeat
    comes at once and then every 5 s, also while Redis is away and so nothing else comes. The stream
    ends before the first event that its client may not read any more.
    """
    presented = presented_by(request)
    # Raises before the response begins, while its status can still be an error.
    stream = services.store.events(last_event_id or after)

    async def messages() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(services.heartbeat.now().model_dump_json(), event="heartbeat")
        async with aclosing(stream):
            async for event in stream:
                identity = services.access.identify(
                    presented.headers, presented.cookies, presented.peer
                )
                if not identity.may(Role.VIEWER):
                    return
                data = services.numbers.event(identity, event)
                yield ServerSentEvent(data, event=event.kind, id=event.id or None)

    return EventSourceResponse(messages(), ping=PING_S)
