"""The route that streams what happens in calls, as server-sent events."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse
from sse_starlette.sse import AppStatus

from service.access.roles import Role
from service.api.access import presented_by
from service.api.http_protocol import WRITE_CHUNK
from service.api.services import ServicesDep
from service.store.event_batch import EventBatch

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
    comes at once and then every 5 s, also while Redis is away and so nothing else comes. Events
    that follow each other within 0.25 s may come together. The stream ends before the first event
    that its client may not read any more.
    """
    presented = presented_by(request)
    write_chunk: Callable[[bytes], bool] = getattr(request.state, WRITE_CHUNK, lambda data: False)

    def text_of(batch: EventBatch) -> bytes | None:
        """Returns what is sent now; None if the client may not read events any more."""
        identity = services.access.identify(presented.headers, presented.cookies, presented.peer)
        if not identity.may(Role.VIEWER):
            return None
        return services.event_text.of(batch, masked=not services.numbers.whole_for(identity))

    def offer(batch: EventBatch) -> bool:
        text = text_of(batch)
        return text is not None and write_chunk(text)

    # Raises before the response begins, while its status can still be an error.
    batches = services.store.events(last_event_id or after, offer)

    async def chunks() -> AsyncIterator[bytes]:
        beat = EventBatch.heartbeat(services.heartbeat.now().model_dump_json())
        yield services.event_text.of(beat, masked=True)
        async with aclosing(batches):
            async for batch in batches:
                text = text_of(batch)
                if text is None:
                    return
                yield text

    return EventSourceResponse(chunks(), ping=PING_S)
