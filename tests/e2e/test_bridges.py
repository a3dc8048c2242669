"""Several connections of one call at the real service, and their entries in Redis."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio import client as websockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from model.audio import FRAME_SAMPLES
from service.events import Track
from service.replay.demo import SAMPLES
from service.replay.player import CLIENTS
from service.telephony.asterisk.client import AsteriskClient
from service.telephony.audiohook.client import AudioHookClient
from service.telephony.shared.client import ProviderClient, StoppedReceived
from service.telephony.shared.recording import Recording
from tests.e2e.service import Service, until
from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer

STEREO = Recording.read(SAMPLES[0])
MONO = Recording("caller", (Track.CALLER,), STEREO.pcm[:, :1])
CALL_S = 8
PURPOSE = "safety of ambulance dispatchers"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def kanjo(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Service]:
    """A service that analyses agents and mixes, and in which every voice raises an alert."""
    always = {f"{e}_{at}": 0 for e in ("anger", "happiness") for at in ("fire_at", "clear_at")}
    settings = {"analyse_agent": PURPOSE, "analyse_mix": True, "hold_s": 0, "batch_max": 8}
    folder = tmp_path_factory.mktemp("kanjo")
    with Service(folder, redis_url=redis_server.url, **settings, **always) as service:
        yield service


class ConnectedClient:
    """One connection of a provider's client."""

    def __init__(self, kanjo: Service, client: ProviderClient) -> None:
        self.client = client
        query = f"?{client.query}" if client.query else ""
        self._connection = connect(
            f"ws://127.0.0.1:{kanjo.port}/calls/{client.name}{query}",
            additional_headers=client.headers(),
            subprotocols=client.subprotocols or None,  # type: ignore[arg-type]
            compression=None,
            proxy=None,
        )

    async def __aenter__(self) -> "ConnectedClient":
        self.socket: websockets.ClientConnection = await self._connection.__aenter__()
        for message in self.client.start():
            await self.socket.send(message)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._connection.__aexit__(*error)

    async def send(self, recording: Recording, seconds: float, speed: float = 8.0) -> None:
        for at in range(0, round(seconds * 8000), FRAME_SAMPLES):
            for message in self.client.frame(recording.pcm[at : at + FRAME_SAMPLES]):
                await self.socket.send(message)
            await asyncio.sleep(FRAME_SAMPLES / 8000 / speed)

    async def hang_up(self) -> None:
        for message in self.client.stop():
            await self.socket.send(message)
        await self.socket.close()

    async def end(self) -> tuple[list[dict[str, Any]], int | None, str | None]:
        """Returns the messages until the close, and its code and reason."""
        messages = []
        try:
            async with asyncio.timeout(ENOUGH_S):
                while True:
                    messages.append(json.loads(await self.socket.recv()))
        except ConnectionClosed:
            return messages, self.socket.close_code, self.socket.close_reason


async def found(kanjo: Service, call_id: str) -> dict[str, Any]:
    async with kanjo.client() as client:
        answer = await client.get(f"/v1/calls/{call_id}")
    body: dict[str, Any] = answer.json()
    return body


async def kept(kanjo: Service, call_id: str) -> dict[str, Any]:
    """Returns a call once it is over."""

    async def ended() -> bool:
        return (await found(kanjo, call_id)).get("state") == "ended"

    await until(ended, within_s=ENOUGH_S)
    return await found(kanjo, call_id)


async def live(kanjo: Service, call_id: str) -> None:
    """Waits until a live call has a reading."""

    async def is_live() -> bool:
        call = await found(kanjo, call_id)
        return call.get("state") == "live" and bool(call["readings"])

    await until(is_live, within_s=ENOUGH_S)


async def test_two_connections_are_one_call(kanjo: Service, redis_server: RedisServer) -> None:
    """The agent's connection begins later and ends sooner, in real time."""
    name = "two connections"
    later_s = 1.5
    async with ConnectedClient(kanjo, AsteriskClient(name, STEREO, track=Track.CALLER)) as caller:
        sending = asyncio.create_task(caller.send(STEREO, CALL_S, speed=1))
        await asyncio.sleep(later_s)
        # The agent's track has the caller's voice too, so both must have the same readings.
        doubled = Recording("agent", (Track.AGENT,), STEREO.pcm[:, :1])
        async with ConnectedClient(
            kanjo, AsteriskClient(name, doubled, track=Track.AGENT)
        ) as agent:
            await agent.send(doubled, CALL_S - 2 * later_s, speed=1)
            await agent.hang_up()
        await sending
        call = await found(kanjo, name)
        assert (call["state"], call["tracks"]) == ("live", ["caller", "agent"])
        await caller.hang_up()
    call = await kept(kanjo, name)
    assert call["bridge"] == "asterisk"
    numbers = [reading["number"] for reading in call["readings"]]
    assert numbers == list(range(1, len(numbers) + 1))
    ends: dict[str, list[float]] = {"caller": [], "agent": []}
    for reading in call["readings"]:
        ends[reading["track"]].append(reading["end_s"])
    assert len(ends["agent"]) >= 2
    for at_s, own_s in zip(ends["agent"][:-1], ends["caller"], strict=False):
        assert at_s - own_s == pytest.approx(later_s, abs=0.5)
    assert call["duration_s"] == pytest.approx(CALL_S, abs=0.1)

    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        steps = [fields for _, fields in await redis.xrange("kanjo:alerts")]
        sessions = {step["alert_id"].split("-")[0] for step in steps if step["call_id"] == name}
        assert sessions == {call["session"]}
        assert await redis.zscore("kanjo:calls:live", call["session"]) is None
    alerts = {(alert["track"], alert["emotion"]): alert["state"] for alert in call["alerts"]}
    assert {track for track, _ in alerts} == {"caller", "agent"}
    assert set(alerts.values()) == {"resolved"}


@pytest.mark.parametrize(
    "bridge", ["exotel", "freeswitch", "jambonz", "plivo", "telnyx", "twilio", "vonage"]
)
async def test_a_provider_that_connects_again_replaces_the_call(
    kanjo: Service, bridge: str
) -> None:
    name = f"{bridge} again"
    client = CLIENTS[bridge]
    recording = MONO if bridge == "vonage" else STEREO
    async with ConnectedClient(kanjo, client(name, recording)) as older:
        await older.send(recording, CALL_S)
        await live(kanjo, name)
        first = await found(kanjo, name)
        async with ConnectedClient(kanjo, client(name, recording)) as newer:
            await newer.send(recording, CALL_S / 2)
            assert await older.end() == ([], 1000, "replaced")
            await live(kanjo, name)
            await newer.hang_up()
    second = await kept(kanjo, name)
    assert second["session"] != first["session"]
    assert second["duration_s"] == pytest.approx(CALL_S / 2, abs=0.2)


async def test_a_track_that_connects_again_takes_its_place_in_the_call(kanjo: Service) -> None:
    name = "asterisk again"
    async with ConnectedClient(kanjo, AsteriskClient(name, STEREO, track=Track.AGENT)) as agent:
        await agent.send(STEREO, 1)
        async with ConnectedClient(
            kanjo, AsteriskClient(name, STEREO, track=Track.CALLER)
        ) as older:
            await older.send(STEREO, CALL_S)
            await live(kanjo, name)
            async with ConnectedClient(
                kanjo, AsteriskClient(name, STEREO, track=Track.CALLER)
            ) as newer:
                await newer.send(STEREO, CALL_S)
                assert await older.end() == ([], 1000, "replaced")
                await newer.hang_up()
        assert (await found(kanjo, name))["state"] == "live"
        await agent.hang_up()
    call = await kept(kanjo, name)
    assert call["duration_s"] > 1.9 * CALL_S


async def stopped(connection: ConnectedClient) -> None:
    """Receives messages, and so replies to them, until the service's last one."""
    async with asyncio.timeout(ENOUGH_S):
        while StoppedReceived() not in list(
            connection.client.receive(await connection.socket.recv())
        ):
            pass


async def test_a_call_that_comes_back_in_a_new_session_replaces_the_old_one(
    kanjo: Service,
) -> None:
    older_session = AudioHookClient("reconnected", STEREO)
    name = older_session.conversation_id
    async with ConnectedClient(kanjo, older_session) as older:
        assert json.loads(await older.socket.recv())["type"] == "opened"
        newer_session = AudioHookClient("reconnected", STEREO)
        async with ConnectedClient(kanjo, newer_session) as newer:
            opened = await newer.socket.recv()
            assert json.loads(opened)["type"] == "opened"
            list(newer_session.receive(opened))
            summary, goodbye = [json.loads(await older.socket.recv()) for _ in range(2)]
            assert summary["parameters"]["entities"][0]["data"]["reason"] == "replaced"
            assert goodbye["type"] == "disconnect"
            assert goodbye["parameters"] == {"reason": "completed", "info": "replaced"}
            await older.socket.close()
            receiving = asyncio.create_task(stopped(newer))
            await newer.send(STEREO, CALL_S)
            await live(kanjo, name)
            for message in newer_session.stop():
                await newer.socket.send(message)
            await receiving
    call = await kept(kanjo, name)
    assert call["metadata"]["sessionId"] == newer_session.session_id
    assert call["reason"] == "end"


async def test_native_calls_and_calls_of_other_providers_replace_nothing(kanjo: Service) -> None:
    name = "taken"
    refused = await kanjo.metric("kanjo_calls_refused_total")
    async with ConnectedClient(kanjo, CLIENTS["native"](name, STEREO)) as first:
        assert json.loads(await first.socket.recv())["type"] == "started"
        async with ConnectedClient(kanjo, CLIENTS["native"](name, STEREO)) as second:
            messages, code, _ = await second.end()
            assert [message["code"] for message in messages] == ["call_exists"]
            assert code == 1008
        async with ConnectedClient(kanjo, CLIENTS["twilio"](name, STEREO)) as third:
            _, code, reason = await third.end()
            assert (code, reason) == (
                1008,
                "got call_id 'taken', expected one that no live call has",
            )
        assert (await found(kanjo, name))["state"] == "live"
        await first.hang_up()
    assert await kanjo.metric("kanjo_calls_refused_total") == refused + 2
