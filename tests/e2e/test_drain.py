"""A service that is stopped lets live calls end, whatever their protocol."""

import asyncio
import json
import signal
import socket
import struct
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from websockets.exceptions import InvalidStatus

from service.replay.demo import SAMPLES
from service.replay.player import CLIENTS
from service.telephony.audiohook.client import AudioHookClient
from service.telephony.shared.recording import Recording
from tests.e2e.service import Service, until
from tests.e2e.test_bridges import ConnectedClient, found, live
from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer

DRAIN_S = 6
STEREO = Recording.read(SAMPLES[0])
ENDED = {"freeswitch": 1000, "native": 1000, "twilio": 1000}  # bridges and their close codes


async def refused(kanjo: Service, bridge: str) -> bool:
    """Returns whether a new call is refused before the upgrade."""
    try:
        async with ConnectedClient(kanjo, CLIENTS[bridge]("too late", STEREO)):
            return False
    except InvalidStatus as refusal:
        return refusal.response.status_code == 503


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def test_calls_end_by_themselves_or_reconnect_or_are_ended_by_their_protocol(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    always = {f"{e}_{at}": 0 for e in ("anger", "happiness") for at in ("fire_at", "clear_at")}
    port = free_port()
    with Service(
        tmp_path,
        redis_url=redis_server.url,
        drain_s=DRAIN_S,
        hold_s=0,
        batch_max=8,
        audiosocket_caller_port=port,
        **always,
    ) as kanjo:
        async with AsyncExitStack() as ends:
            clients = {bridge: CLIENTS[bridge](f"{bridge} call", STEREO) for bridge in ENDED}
            connections = {
                bridge: await ends.enter_async_context(ConnectedClient(kanjo, client))
                for bridge, client in clients.items()
            }
            brief = ConnectedClient(kanjo, CLIENTS["telnyx"]("ends by itself", STEREO))
            connections["telnyx"] = await ends.enter_async_context(brief)
            await asyncio.gather(
                *(connection.send(STEREO, 8) for connection in connections.values())
            )
            for bridge in ENDED:
                await live(kanjo, f"{bridge} call")
            session = AudioHookClient("genesys", STEREO)
            genesys = await ends.enter_async_context(ConnectedClient(kanjo, session))
            list(session.receive(await genesys.socket.recv()))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            ends.callback(writer.close)
            uuid = uuid4()
            writer.write(b"\x01\x00\x10" + uuid.bytes + struct.pack("!BH", 0x10, 320) + bytes(320))

            async def connected() -> bool:
                return (await found(kanjo, str(uuid))).get("state") == "live"

            await until(connected, within_s=ENOUGH_S)

            began = time.monotonic()
            kanjo.signal(signal.SIGTERM)

            # The client that can reconnect elsewhere is asked to, and does.
            request = json.loads(await asyncio.wait_for(genesys.socket.recv(), ENOUGH_S))
            assert request["type"] == "reconnect"
            assert time.monotonic() - began < 1
            await leave(genesys, session, request["seq"])

            # New calls are refused.
            async with kanjo.client() as client:
                ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["not_stopping"]) == (503, False)
            assert all(await asyncio.gather(*(map(partial(refused, kanjo), CLIENTS))))

            # One call ends by itself, the others after `drain_s`.
            await brief.send(STEREO, 1)
            await brief.hang_up()
            for bridge, code in ENDED.items():
                messages, close_code, reason = await connections[bridge].end()
                assert DRAIN_S - 0.5 < time.monotonic() - began < DRAIN_S + 3
                assert close_code == code
                if bridge == "native":
                    assert messages[-1]["reason"] == "service stopping"
                else:
                    assert reason == "service stopping"
            # Silence, and then the end.
            while await asyncio.wait_for(reader.read(65_536), ENOUGH_S):
                pass
            await asyncio.to_thread(kanjo.stopped)
            assert time.monotonic() - began < DRAIN_S + 6

    calls, alerts = await stored(redis_server)
    reasons = {f"{bridge} call": "service stopping" for bridge in ENDED}
    reasons |= {"ends by itself": "stop", str(uuid): "service stopping"}
    reasons |= {session.conversation_id: "reconnect"}
    assert {call_id: call["reason"] for call_id, call in calls.items()} == reasons
    assert {call["state"] for call in calls.values()} == {"ended"}
    assert alerts
    assert {alert["state"] for alert in alerts} == {"resolved"}


async def leave(genesys: ConnectedClient, session: AudioHookClient, serverseq: int) -> None:
    """Closes the session, as the client does after it has connected elsewhere."""
    message = json.loads(session._message("close", reason="reconnect"))
    await genesys.socket.send(json.dumps({**message, "serverseq": serverseq}))
    reply: dict[str, Any] = {}
    while reply.get("type") != "closed":
        reply = json.loads(await asyncio.wait_for(genesys.socket.recv(), ENOUGH_S))
    await genesys.socket.close()


async def stored(server: RedisServer) -> tuple[dict[str, dict[str, str]], list[dict[str, str]]]:
    """Returns all calls by id and all alerts that are in Redis."""
    async with Redis.from_url(server.url, decode_responses=True) as redis:
        ids = await redis.zrange("kanjo:calls:by-time", 0, -1)
        calls = {call_id: await redis.hgetall(f"kanjo:call:{call_id}") for call_id in ids}
        keys = [key async for key in redis.scan_iter("kanjo:alert:*")]
        return calls, [await redis.hgetall(key) for key in keys]


async def test_a_client_that_does_not_close_does_not_keep_the_service_from_stopping(
    tmp_path: Path,
) -> None:
    with Service(tmp_path, drain_s=1, batch_max=1) as kanjo:
        session = AudioHookClient("stubborn", STEREO)
        async with ConnectedClient(kanjo, session) as genesys:
            list(session.receive(await genesys.socket.recv()))
            began = time.monotonic()
            await asyncio.to_thread(kanjo.stop)
            assert time.monotonic() - began < 1 + 10
            kinds = [message["type"] for message in (await genesys.end())[0]]
    assert kinds[0] == "reconnect"
    assert kinds[-1] == "disconnect"


async def draining(kanjo: Service) -> bool:
    return not await kanjo.ready()


async def test_a_second_interrupt_ends_the_drain(tmp_path: Path) -> None:
    with Service(tmp_path, drain_s=60, batch_max=1) as kanjo:
        async with ConnectedClient(kanjo, CLIENTS["native"]("patient", STEREO)) as call:
            assert json.loads(await call.socket.recv())["type"] == "started"
            kanjo.signal(signal.SIGINT)
            await until(partial(draining, kanjo), within_s=ENOUGH_S)
            began = time.monotonic()
            kanjo.signal(signal.SIGINT)
            await asyncio.to_thread(kanjo.stopped)
            assert time.monotonic() - began < 10
