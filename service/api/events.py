"""What happens, as it happens: server-sent events."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent

from service.api.services import ServicesDep
from service.store.store import BadCursor, StoreUnavailable

router = APIRouter(tags=["calls"])

PING_S = 10
EVENT_ID = re.compile("[0-9]{1,19}-[0-9]{1,19}")


@router.get("/events", response_class=EventSourceResponse)
async def events(
    services: ServicesDep,
    after: Annotated[str | None, Query(description="`cursor` of GET /calls")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventSourceResponse:
    """call_started, reading, alert, call_ended; `resync` where some are missing: read anew."""
    # Now, while the answer can still be an error.
    place = last_event_id or after
    if place is not None and not EVENT_ID.fullmatch(place):
        raise BadCursor(place)
    if not services.store.redis_up:
        raise StoreUnavailable("it is away")
    stream = services.store.events(place)

    async def messages() -> AsyncIterator[ServerSentEvent]:
        # Where it breaks off, the client comes back with its Last-Event-ID.
        with suppress(StoreUnavailable):
            async with aclosing(stream):
                async for event in stream:
                    yield ServerSentEvent(event.data, event=event.kind, id=event.id)

    return EventSourceResponse(messages(), ping=PING_S)
