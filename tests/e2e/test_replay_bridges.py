"""One recording through every bridge of the real service: what is read must not depend on it."""

import asyncio
import base64
import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
import soundfile
from streamdouble.api import CallReport
from streamdouble.api import call as streamdouble_call
from streamdouble.chaos import Impairments
from streamdouble.protocol import MediaStreamEncoder
from streamdouble.session import SessionConfig
from websockets.asyncio.client import connect

from model import MODELS
from model.audio import mulaw_encode
from service.errors import ServiceRefused
from service.events import Track
from service.replay.demo import SAMPLES
from service.replay.player import CLIENTS, replay
from service.telephony.shared.client import NO_CREDENTIALS, ClientCredentials
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording
from tests.e2e.service import Service, until
from tests.limits import ENOUGH_S

SPEED = 4.0
FRAMES = 400  # of 20 ms, from another client
FROM_S, TO_S = 9, 21  # of the sample call: the caller begins to sound angry
PUBLIC = "wss://kanjo.example.com/calls"
SECRET = "a secret of this test"
TOKEN = "a token of this test"
SECRET_64 = base64.b64encode(SECRET.encode()).decode()

CREDENTIALS = {
    "native_token": SECRET,
    "telnyx_token": SECRET,
    "vonage_token": SECRET,
    "twilio_url": f"{PUBLIC}/twilio",
    "twilio_auth_token": SECRET,
    "twilio_token": TOKEN,
    "plivo_url": f"{PUBLIC}/plivo",
    "plivo_auth_token": SECRET,
    "audiohook_keys": f"k:{SECRET_64}",
    "asterisk_password": SECRET,
    "exotel_password": SECRET,
    "freeswitch_password": SECRET,
    "jambonz_password": SECRET,
}
BASIC = ClientCredentials(user="kanjo", password=SECRET)
CLIENT_CREDENTIALS = {
    "native": ClientCredentials(token=SECRET),
    "telnyx": ClientCredentials(token=SECRET),
    "vonage": ClientCredentials(token=SECRET),
    "twilio": ClientCredentials(secret=SECRET, token=TOKEN, public_url=f"{PUBLIC}/twilio"),
    "plivo": ClientCredentials(secret=SECRET, public_url=f"{PUBLIC}/plivo"),
    "audiohook": ClientCredentials(api_key="k", secret=SECRET_64),
    "asterisk": BASIC,
    "exotel": BASIC,
    "freeswitch": BASIC,
    "jambonz": BASIC,
}

MOVED_BY_CODEC = {"compact": 0.02, "base": 0.1}  # most that a probability differs

Readings = list[dict[str, Any]]


def recorded(tracks: int = 2) -> Recording:
    """Returns a part of the sample call, without any loss of a telephone channel."""
    pcm, rate = soundfile.read(SAMPLES[0], dtype="int16")
    assert rate == 8000
    pcm = pcm[FROM_S * rate : TO_S * rate, :tracks]
    return Recording("sounds-angry", (Track.CALLER, Track.AGENT)[:tracks], pcm)


def url(kanjo: Service, bridge: str) -> str:
    return f"ws://127.0.0.1:{kanjo.port}/calls/{bridge}"


@pytest.fixture(scope="module")
def kanjo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with credentials for every provider, which analyses mixes."""
    state = tmp_path_factory.mktemp("kanjo")
    with Service(state, batch_max=1, analyse_mix=True, **CREDENTIALS) as service:
        yield service


async def kept(kanjo: Service, call_id: str) -> dict[str, Any]:
    """Returns a call as the service stored it, once it is over."""
    found: dict[str, Any] = {}

    async def ended() -> bool:
        async with kanjo.client() as client:
            found.update((await client.get(f"/v1/calls/{quote(call_id, safe='')}")).json())
        return found.get("state") == "ended"

    await until(ended, within_s=ENOUGH_S)
    return found


async def call_ids(kanjo: Service) -> dict[str, str]:
    """Returns the bridges of all calls, by id."""
    async with kanjo.client() as client:
        page = (await client.get("/v1/calls", params={"limit": 1000})).json()
    return {call["call_id"]: call["bridge"] for call in page["calls"]}


async def replayed(kanjo: Service, bridge: str, encoding: Encoding) -> None:
    # Vonage mixes all speakers in one channel; here the caller is the only one.
    recording = recorded(1 if bridge == "vonage" else 2)
    address, credentials = url(kanjo, bridge), CLIENT_CREDENTIALS[bridge]
    summary = await replay(
        [recording],
        address,
        speed=SPEED,
        bridge=bridge,
        encoding=encoding,
        credentials=credentials,
        stopped_within_s=ENOUGH_S,
    )
    assert not summary.errors, (bridge, summary.reasons)
    assert summary.calls == 1


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Service]:
    """The same with each model that ships; it drops no window, however late it is scored."""
    state = tmp_path_factory.mktemp(model)
    settings = {"model": model, "batch_max": 1, "window_max_age_s": 600, "analyse_mix": True}
    with Service(state, **settings, **CREDENTIALS) as service:
        yield service


_readings: dict[tuple[Service, Encoding], dict[str, Readings]] = {}


async def readings_of_all(kanjo: Service, encoding: Encoding) -> dict[str, Readings]:
    """Returns the recording's readings through each bridge with this encoding; replays it once."""
    if (kanjo, encoding) not in _readings:
        before = await call_ids(kanjo)
        bridges = [name for name, client in CLIENTS.items() if encoding in client.encodings]
        await asyncio.gather(*(replayed(kanjo, bridge, encoding) for bridge in bridges))
        new = {
            b: call_id for call_id, b in (await call_ids(kanjo)).items() if call_id not in before
        }
        assert set(new) == set(bridges)
        calls = {bridge: await kept(kanjo, call_id) for bridge, call_id in new.items()}
        _readings[kanjo, encoding] = {bridge: call["readings"] for bridge, call in calls.items()}
    return _readings[kanjo, encoding]


def assert_same(readings: Readings, others: Readings, within: float) -> None:
    for reading, other in zip(readings, others, strict=True):
        for name in ("track", "number"):
            assert reading[name] == other[name]
        for name in ("start_s", "end_s"):
            assert reading[name] == pytest.approx(other[name], abs=1e-6)
        assert reading["probabilities"] == pytest.approx(other["probabilities"], abs=within)


@pytest.mark.parametrize("encoding", Encoding)
async def test_every_bridge_gives_the_readings_of_the_native_one(
    modelled: Service, encoding: Encoding
) -> None:
    read = await readings_of_all(modelled, encoding)
    native = read["native"]
    assert len(native) > 5
    assert max(reading["probabilities"]["anger"] for reading in native) > 0.5
    assert {reading["track"] for reading in native} == {"caller"}
    for readings in read.values():
        assert_same(readings, native, within=1e-6)


@pytest.mark.parametrize("encoding", [Encoding.MULAW, Encoding.ALAW])
async def test_the_encoding_hardly_changes_the_readings(
    modelled: Service, model: str, encoding: Encoding
) -> None:
    whole = (await readings_of_all(modelled, Encoding.L16))["native"]
    assert_same((await readings_of_all(modelled, encoding))["native"], whole, MOVED_BY_CODEC[model])


@pytest.mark.parametrize("bridge", CLIENTS)
async def test_a_provider_without_credentials_is_rejected(kanjo: Service, bridge: str) -> None:
    before = await call_ids(kanjo)
    with pytest.raises(ServiceRefused, match="HTTP 401"):
        await replay([recorded()], url(kanjo, bridge), bridge=bridge, credentials=NO_CREDENTIALS)
    assert await call_ids(kanjo) == before


async def test_twilio_must_send_the_token_beside_the_signature(kanjo: Service) -> None:
    before = await call_ids(kanjo)
    credentials = ClientCredentials(secret=SECRET, token="another", public_url=f"{PUBLIC}/twilio")
    summary = await replay(
        [recorded()], url(kanjo, "twilio"), bridge="twilio", credentials=credentials
    )
    assert summary.errors == {"closed": 1}
    assert "1008" in summary.reasons["closed"]
    assert summary.played_s < 3
    assert await call_ids(kanjo) == before


# An independent Media Streams client.


@pytest.fixture(scope="module")
def twilio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that checks only Twilio's token: the client signs nothing."""
    with Service(tmp_path_factory.mktemp("twilio"), batch_max=1, twilio_token=TOKEN) as service:
        yield service


def frames(track: int) -> list[bytes]:
    """Returns a part of the sample call as Twilio sends it, 20 ms a frame."""
    codes = mulaw_encode(recorded().pcm[: FRAMES * 160, track])
    return [codes[at : at + 160].tobytes() for at in range(0, len(codes), 160)]


async def streamed(kanjo: Service, *tracks: str, **changes: Any) -> tuple[CallReport, Any]:
    """Returns the client's report of its call, and the service's record of it."""
    config = SessionConfig(
        fork=True,
        tracks=list(tracks),
        agent_frames=frames(1) if "outbound" in tracks else [],
        strict_fork=True,
        response_timeout_s=0.1,
        quiet_period_s=0.1,
        max_drain_s=1.0,
        custom_parameters={"token": TOKEN},
        **changes,
    )
    report = await streamdouble_call(url(kanjo, "twilio"), frames=frames(0), config=config)
    assert report.violations == []
    call = await kept(kanjo, report.result.identity.call_sid)
    assert call["bridge"] == "twilio"
    assert {reading["track"] for reading in call["readings"]} == {"caller"}
    return report, call


async def test_another_twilio_client_is_decoded_despite_loss_and_jitter(twilio: Service) -> None:
    jitter = Impairments(jitter_ms=30)
    (_, clean), (_, late), (lossy, lost) = await asyncio.gather(
        streamed(twilio, "inbound", "outbound"),
        streamed(twilio, "inbound", impairments=jitter),
        streamed(twilio, "inbound", impairments=Impairments(loss=0.01), chaos_seed=3),
    )
    assert clean["tracks"] == ["caller", "agent"]
    assert clean["duration_s"] == pytest.approx(FRAMES * 0.02, abs=0.1)
    assert len(clean["readings"]) >= 3
    assert_same(late["readings"], clean["readings"], within=1e-6)
    assert lossy.result.frames_dropped > 0
    assert lost["duration_s"] == pytest.approx(FRAMES * 0.02, abs=0.1)


async def has_readings(kanjo: Service, call_id: str) -> bool:
    """Returns whether a call has readings."""
    async with kanjo.client() as client:
        return bool((await client.get(f"/v1/calls/{call_id}")).json().get("readings"))


async def test_a_twilio_connection_that_breaks_ends_its_call(twilio: Service) -> None:
    encoder = MediaStreamEncoder()
    async with connect(url(twilio, "twilio"), compression=None, proxy=None) as socket:
        await socket.send(json.dumps(encoder.connected()))
        start = encoder.start(tracks=["inbound"], custom_parameters={"token": TOKEN})
        await socket.send(json.dumps(start))
        for frame in frames(0):
            await socket.send(json.dumps(encoder.media(frame)))
        call_id = start["start"]["callSid"]
        await until(partial(has_readings, twilio, call_id), within_s=ENOUGH_S)
        socket.transport.abort()
    call = await kept(twilio, call_id)
    assert call["state"] == "ended"
    assert call["duration_s"] == pytest.approx(FRAMES * 0.02, abs=0.05)
