import asyncio
import json
import socket as sockets
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from service.errors import Overloaded, ServiceRefused, ServiceUnreachable
from service.replay.player import replay
from service.telephony.shared.client import AlertReceived
from tests.limits import ENOUGH_S
from tests.service.replay.native_service import NativeService, serving
from tests.service.replay.recordings import recording

# What is received.


async def test_alerts_are_counted_when_they_fire_and_passed_on_at_every_step() -> None:
    alerts: list[AlertReceived] = []
    async with serving(NativeService(fires=True)) as url:
        summary = await replay([recording(0.5)], url, calls=2, on_alert=alerts.append)
    assert summary.fired == {"anger": 2}
    assert [alert.text for alert in alerts] == ["sounds angry (0.83)"] * 4
    assert {alert.state for alert in alerts} == {"pending", "firing"}


async def test_lateness_is_the_time_that_the_service_takes() -> None:
    async with serving(NativeService(delay_s=0.15)) as url:
        summary = await replay([recording(0.3)], url)
    assert summary.readings == 3
    assert 0.15 <= (summary.late_percentile_s(50) or 0) < 1.5


async def test_a_reading_of_audio_that_was_not_played_is_an_error() -> None:
    async with serving(NativeService(ahead_s=5)) as url:
        summary = await replay([recording(0.2)], url)
    assert summary.readings == 0
    assert summary.errors == {"reading_ahead": 2}


async def test_an_unreadable_message_is_an_error() -> None:
    async def nonsense(socket: ServerConnection) -> None:
        await socket.send('{"type": "reading"}')
        await socket.send("[]")
        async for _ in socket:
            pass

    async with serve(nonsense, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        summary = await replay([recording(0.2)], url, stopped_within_s=0.1)
    assert summary.errors["unreadable"] == 2


# What goes wrong.


async def test_a_refused_port_is_a_sentence() -> None:
    with sockets.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/calls/native"
    with pytest.raises(ServiceUnreachable) as caught:
        await replay([recording()], url, calls=3)
    assert str(caught.value) == f"no service at {url}: Connection refused"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "ws://no-such-host.invalid/"])
async def test_an_address_that_leads_nowhere_is_a_sentence(url: str) -> None:
    with pytest.raises(ServiceUnreachable, match="no service at"):
        await replay([recording()], url)


async def test_a_refused_handshake_gives_the_reason() -> None:
    def full(connection: ServerConnection, _: Request) -> Response:
        body = {"title": "Overloaded", "detail": "all 2 calls are in use"}
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, json.dumps(body))

    async with serving(NativeService(), full) as url:
        with pytest.raises(ServiceRefused, match="HTTP 503: Overloaded: all 2 calls are in use"):
            await replay([recording()], url)


async def test_calls_refused_beside_others_are_counted() -> None:
    service = NativeService()

    def full(connection: ServerConnection, _: Request) -> Response | None:
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full") if service.live else None

    async with serving(service, full) as url:
        summary = await replay([recording(2.0)], url, calls=3)
    assert summary.calls == 1
    assert summary.errors == {"refused": 2}
    assert "HTTP 503: full" in summary.reasons["refused"]


async def test_a_fatal_error_and_its_close_are_one_error() -> None:
    async with serving(NativeService(refusal=Overloaded(2))) as url:
        summary = await replay([recording()], url)
    assert summary.errors == {"overloaded": 1}
    assert summary.reasons == {"overloaded": str(Overloaded(2))}


async def test_a_broken_connection_is_an_error_of_its_call() -> None:
    async with serving(NativeService(hangs_up=True)) as url:
        summary = await replay([recording()], url)
    assert summary.errors == {"closed": 1}
    assert summary.live == 0


async def test_a_stop_that_nobody_answers_ends_the_call_anyway() -> None:
    async with serving(NativeService(answers_stop=False)) as url, asyncio.timeout(ENOUGH_S):
        summary = await replay([recording(0.1)], url, stopped_within_s=0.1)
    assert summary.errors == {"no_stopped": 1}
