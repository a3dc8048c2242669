"""A subscriber whose connection breaks off again and again while alerts change."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from service.events import AlertState, Transition
from tests.redis_server import RedisServer
from tests.service.api.conftest import Running, ready, running
from tests.service.api.test_events import Event, cursor, parsed
from tests.service.store.facts import (
    FIRING,
    LAPSED,
    NOW,
    PENDING,
    RESOLVED,
    started,
    transition,
)

CUTS = 100
BETWEEN_CUTS = 10  # transitions that pass
EVERY_S = 0.002  # so that some come while the subscriber catches up
EPISODES: tuple[tuple[AlertState, ...], ...] = ((PENDING, FIRING, RESOLVED), (PENDING, LAPSED))
HEARTBEAT_LINES, EVENT_LINES = 3, 4  # with the empty one that ends each


def alerts_of(session: str) -> Iterator[Transition]:
    """Yields the transitions of one call's alerts, without end."""
    for number, states in enumerate(itertools.cycle(EPISODES)):
        alert_id = f"{session}-caller-anger-{number}"
        for step, state in enumerate(states, 1):
            yield transition(step, state, alert_id=alert_id, call_id=session)


def lines_of(server: Running, after: str, last: str | None, limit: int | None) -> Iterator[str]:
    """Yields the first lines of a subscription, then cuts its connection."""
    headers = {"Last-Event-ID": last} if last else {}
    with (
        server.client() as client,
        client.stream("GET", "/v1/events", params={"after": after}, headers=headers) as response,
    ):
        assert response.status_code == 200, response.read()
        yield from itertools.islice(response.iter_lines(), limit)


def test_a_stream_cut_100_times_brings_1000_transitions_once_each_and_in_order(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    draw = random.Random(1)
    sessions = [f"call-{number}" for number in range(7)]
    passing = itertools.chain.from_iterable(zip(*map(alerts_of, sessions), strict=True))
    written: list[Transition] = []
    seen: list[Event] = []
    last: str | None = None
    with running(redis_url=redis_server.url, state_dir=tmp_path) as server:
        store = ready(server).services.store
        loop = server.servers[0].get_loop()

        queue: asyncio.Queue[Transition] = asyncio.Queue()

        async def write() -> None:
            for session in sessions:
                store.call_started(session, started(session), NOW)
            for _ in range(CUTS * BETWEEN_CUTS):
                one = await queue.get()
                store.transition(one.call_id, one, NOW)
                await asyncio.sleep(EVERY_S)

        def see(limit: int | None) -> Iterator[Event]:
            nonlocal last
            for event in parsed(lines_of(server, after, last, limit)):
                last = event.id or last  # as a browser: that of the last event that came whole
                if event.kind != "heartbeat":
                    yield event

        after = cursor(server)
        asyncio.run_coroutine_threadsafe(write(), loop)
        for _ in range(CUTS):
            some = list(itertools.islice(passing, BETWEEN_CUTS))
            written += some
            for one in some:
                loop.call_soon_threadsafe(queue.put_nowait, one)
            left = len(sessions) + len(written) - len(seen)
            seen += see(draw.randint(0, HEARTBEAT_LINES + EVENT_LINES * left))
        for event in see(None):
            seen.append(event)
            if len(seen) == len(sessions) + len(written):
                break
    assert len(written) == 1000
    starts, alerts = seen[: len(sessions)], seen[len(sessions) :]
    assert [event.kind for event in starts] == ["call_started"] * len(sessions)
    assert [event.kind for event in alerts] == ["alert"] * len(written)
    assert [(e.data["alert_id"], e.data["state"]) for e in alerts] == [
        (one.alert_id, one.state) for one in written
    ]
    assert len({event.order for event in seen}) == len(seen)
    assert sorted(seen, key=lambda event: event.order) == seen
