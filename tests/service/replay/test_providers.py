import asyncio

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from model.audio import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from service.errors import Overloaded, ServiceRefused
from service.events import CallStarted, CallStopped, Pcm, Track
from service.replay.player import CLIENTS, replay
from service.telephony.shared.client import AlertReceived, Feedback, UnsupportedByProvider
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording
from tests.limits import ENOUGH_S
from tests.service.replay.provider_service import (
    AUTHENTICATORS,
    BRIDGES,
    CREDENTIALS,
    SUBPROTOCOLS,
    ProviderService,
)
from tests.service.replay.recordings import recording


def expected(bridge: str, played: Recording, column: int) -> Pcm:
    if bridge == "vonage":
        mix = played.pcm.sum(axis=1, dtype=np.int32)
        return mix.clip(-32_768, 32_767).astype(np.int16)
    pcm = np.ascontiguousarray(played.pcm[:, column])
    mulaw = CLIENTS[bridge].encodings[0] is Encoding.MULAW
    return mulaw_decode(mulaw_encode(pcm)) if mulaw else pcm


@pytest.mark.parametrize("bridge", BRIDGES)
async def test_every_bridge_gets_every_sample_once_until_the_hang_up(bridge: str) -> None:
    service, stereo = ProviderService(bridge), recording(0.513, tracks=2)
    async with service.serving() as url:
        summary = await replay([stereo], url, bridge=bridge, speed=5)
    for column, track in enumerate(stereo.tracks[: 1 if bridge in ("vonage", "exotel") else 2]):
        np.testing.assert_array_equal(service.pcm(track), expected(bridge, stereo, column))
    for received in service.received:
        kinds = [type(event) for event in received]
        assert kinds.count(CallStarted) == kinds.count(CallStopped) == 1
        assert kinds[-1] is CallStopped
    assert not any(getattr(bridge, "message_errors", None) for bridge in service.connected)
    assert set(service.subprotocols) == {SUBPROTOCOLS.get(bridge)}
    assert not summary.errors, summary.reasons
    assert (summary.calls, summary.live) == (1, 0)
    assert summary.played_s == pytest.approx(0.513)


async def test_both_voices_of_an_asterisk_call_are_connections_of_one_call() -> None:
    service = ProviderService("asterisk")
    async with service.serving() as url:
        summary = await replay([recording(0.1, tracks=2)], url, bridge="asterisk", speed=5)
    assert summary.calls == 1
    started = [
        event
        for received in service.received
        for event in received
        if isinstance(event, CallStarted)
    ]
    assert sorted(event.tracks for event in started) == [(Track.AGENT,), (Track.CALLER,)]
    assert len({event.call_id for event in started}) == 1
    assert all(getattr(bridge, "joins", False) for bridge in service.connected)


@pytest.mark.parametrize("encoding", ["mulaw", "alaw", "l16"])
async def test_samples_are_encoded_as_the_caller_asks(encoding: str) -> None:
    service, mono = ProviderService("telnyx"), recording(0.1)
    async with service.serving() as url:
        await replay([mono], url, bridge="telnyx", encoding=Encoding(encoding), speed=5)
    through = {
        "mulaw": lambda pcm: mulaw_decode(mulaw_encode(pcm)),
        "alaw": lambda pcm: alaw_decode(alaw_encode(pcm)),
        "l16": lambda pcm: pcm,
    }[encoding]
    np.testing.assert_array_equal(service.pcm(Track.CALLER), through(mono.pcm[:, 0].copy()))


@pytest.mark.parametrize("bridge", AUTHENTICATORS)
async def test_a_provider_proves_itself_and_is_refused_when_it_does_not(bridge: str) -> None:
    service = ProviderService(bridge, authenticator=AUTHENTICATORS[bridge]())
    async with service.serving() as url:
        summary = await replay(
            [recording(0.1)], url, bridge=bridge, credentials=CREDENTIALS[bridge], speed=5
        )
        assert summary.calls == 1
        assert not summary.errors, summary.reasons
        with pytest.raises(ServiceRefused, match="HTTP 401"):
            await replay([recording(0.1)], url, bridge=bridge)


async def test_what_no_provider_sends_is_refused_before_any_call() -> None:
    service = ProviderService("twilio")
    async with service.serving() as url:
        with pytest.raises(UnsupportedByProvider, match="twilio: got encoding l16, expected mulaw"):
            await replay([recording()], url, bridge="twilio", encoding=Encoding.L16)
    assert not service.connected


@pytest.mark.parametrize("bridge", BRIDGES)
async def test_what_a_bridge_is_sent_is_in_the_summary(bridge: str) -> None:
    alerts: list[AlertReceived] = []
    async with ProviderService(bridge).serving() as url:
        summary = await replay([recording(0.4)], url, bridge=bridge, on_alert=alerts.append)
    feedback = Feedback.ALERTS if bridge in ("audiohook", "freeswitch") else Feedback.NOTHING
    assert summary.feedback is feedback
    assert summary.fired == ({"anger": 1} if feedback is Feedback.ALERTS else {})
    assert {alert.text for alert in alerts} <= {"sounds angry (0.83)"}
    assert summary.readings == 0


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("refused", [True, False])
async def test_a_call_that_the_service_ends_is_one_error_and_stops_playing(
    bridge: str, refused: bool
) -> None:
    refusal = Overloaded(2) if refused else None
    service = ProviderService(bridge, refusal=refusal, fails_after=None if refused else 4)
    async with service.serving() as url, asyncio.timeout(ENOUGH_S):
        summary = await replay([recording(30)], url, bridge=bridge)
    assert summary.errors.total() == 1, summary.reasons
    (reason,) = summary.reasons.values()
    assert ("all 2 calls" if refused else "the service failed") in reason
    assert summary.played_s < 5
    assert summary.live == 0


@pytest.mark.parametrize("bridge", BRIDGES)
async def test_stopping_ends_a_call_of_any_bridge_as_a_hang_up_would(bridge: str) -> None:
    service, stop = ProviderService(bridge), asyncio.Event()
    async with service.serving() as url, asyncio.timeout(ENOUGH_S), asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(replay([recording(60)], url, bridge=bridge, stop=stop))
        await service.audio_came.wait()
        stop.set()
        summary = await playing
    assert isinstance(service.received[0][-1], CallStopped)
    assert not summary.errors, summary.reasons


async def test_a_service_that_never_answers_a_hang_up_is_an_error() -> None:
    async def unresponsive(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await asyncio.sleep(1)
        socket.transport.abort()

    async with serve(unresponsive, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        summary = await replay([recording(0.1)], url, bridge="twilio", speed=5)
    assert summary.errors == {"closed": 1}
