"""Where telephony connects: one path a dialect, nobody guesses which provider is calling."""

import asyncio
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from uuid import uuid4

import structlog
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.api.connection import Connection
from service.api.problem import HttpProblem
from service.api.services import Services, ServicesDep
from service.api.transport import WebSocketTransport
from service.events import Track
from service.settings import Settings
from service.telephony.asterisk import bridge as asterisk_bridge
from service.telephony.asterisk.bridge import AsteriskBridge
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.exotel.bridge import ExotelBridge
from service.telephony.freeswitch.bridge import FreeswitchBridge, Mix
from service.telephony.jambonz.bridge import JambonzBridge
from service.telephony.native.bridge import NativeBridge
from service.telephony.plivo.bridge import PlivoBridge
from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.bridge import Bridge
from service.telephony.telnyx.bridge import TelnyxBridge
from service.telephony.twilio.bridge import TwilioBridge
from service.telephony.vonage.bridge import VonageBridge

log = structlog.get_logger()

router = APIRouter()

REFUSAL_S = 0.5  # that a refusal takes, whatever was wrong


def analysed(settings: Settings) -> frozenset[Track]:
    """Whose voices are heard."""
    return frozenset(Track if settings.analyse_agent else {Track.CALLER})


def _legs(name: str, settings: Settings) -> tuple[Track, Track]:
    """Who is on the leg that this bridge is connected to, and who is heard there."""
    if name in (settings.agent_legs or ()):
        return Track.AGENT, Track.CALLER
    return Track.CALLER, Track.AGENT


def _sides(name: str, settings: Settings) -> Mapping[str, Track]:
    return dict(zip(("inbound", "outbound"), _legs(name, settings), strict=True))


# One dialect each: the bridge that a handshake gets.


def _asterisk(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    own, other = _legs("asterisk", settings)
    return AsteriskBridge(
        analysed(settings),
        sides={**asterisk_bridge.SIDES, "in": own, "out": other},
        call_id_hint=query.get("callId"),
        side_hint=query.get("side"),
        max_frame_bytes=settings.max_frame_bytes,
    )


def _audiohook(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    session_id = handshake.headers.get("audiohook-session-id")
    if not session_id:
        raise Unauthorized("missing")
    organization_id = handshake.headers.get("audiohook-organization-id")
    return AudioHookBridge(session_id, organization_id, analyse=analysed(settings))


def _exotel(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    own, _ = _legs("exotel", settings)
    return ExotelBridge(analysed(settings), own)


def _freeswitch(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    own, other = _legs("freeswitch", settings)
    rate, mix = query.get("rate"), query.get("mix")
    if rate is not None and not (rate.isdecimal() and len(rate) <= 5):
        raise HttpProblem(HTTPStatus.BAD_REQUEST, f"rate {rate[:40]!r}", "8000, 16000, ... 64000")
    if mix is not None and mix not in list(Mix):
        raise HttpProblem(HTTPStatus.BAD_REQUEST, f"mix {mix[:40]!r}", ", ".join(Mix))
    return FreeswitchBridge(
        analysed(settings),
        call_id_hint=query.get("call_id") or uuid4().hex,
        channels=(own, other),
        mono=own,
        analyse_mix=settings.analyse_mix,
        sample_rate=None if rate is None else int(rate),
        mix=None if mix is None else Mix(mix),
        alerts=settings.freeswitch_alerts,
        max_frame_bytes=settings.max_frame_bytes,
    )


def _jambonz(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    own, other = _legs("jambonz", settings)
    return JambonzBridge(
        analysed(settings),
        channels=(own, other),
        mono=own,
        analyse_mix=settings.analyse_mix,
        max_frame_bytes=settings.max_frame_bytes,
    )


def _native(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    return NativeBridge(analysed(settings), settings.max_frame_bytes)


def _plivo(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    return PlivoBridge(analysed(settings), _sides("plivo", settings))


def _telnyx(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    return TelnyxBridge(analysed(settings), _sides("telnyx", settings))


def _twilio(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    token = settings.twilio_token
    return TwilioBridge(
        analysed(settings),
        _sides("twilio", settings),
        token.get_secret_value() if token else None,
    )


def _vonage(settings: Settings, handshake: Handshake, query: Mapping[str, str]) -> Bridge:
    return VonageBridge(analysed(settings), settings.analyse_mix)


Made = Callable[[Settings, Handshake, Mapping[str, str]], Bridge]

BRIDGES: Mapping[str, Made] = {
    "asterisk": _asterisk,
    "audiohook": _audiohook,
    "exotel": _exotel,
    "freeswitch": _freeswitch,
    "jambonz": _jambonz,
    "native": _native,
    "plivo": _plivo,
    "telnyx": _telnyx,
    "twilio": _twilio,
    "vonage": _vonage,
}


async def _connected(name: str, socket: WebSocket, services: Services) -> None:
    handshake = _handshake(socket)
    try:
        services.authenticators[name].check(handshake, time.time())
        bridge = BRIDGES[name](services.settings, handshake, socket.query_params)
    except Unauthorized as refusal:
        services.metrics.handshakes_rejected.labels(name, refusal.reason).inc()
        client = socket.client.host if socket.client else "unknown"
        log.warning("door_refused", bridge=name, reason=refusal.reason, client=client)
        await asyncio.sleep(REFUSAL_S)
        raise HttpProblem(
            HTTPStatus.UNAUTHORIZED, "no valid credentials", f"those that are set for {name}"
        ) from None
    services.require_open()
    offered = socket.scope["subprotocols"]
    subprotocol = next((ours for ours in bridge.SUBPROTOCOLS if ours in offered), None)
    try:
        await socket.accept(subprotocol)
    except WebSocketDisconnect:  # gone before it was answered
        return
    await Connection(WebSocketTransport(socket), bridge, name, services).run()


def _handshake(socket: WebSocket) -> Handshake:
    """As it came, byte for byte: it may be signed."""
    query = socket.scope["query_string"].decode("latin-1")
    target = socket.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    headers: dict[str, str] = {}
    for name, value in socket.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Handshake(target, headers)


def _route(name: str) -> None:
    @router.websocket(f"/calls/{name}")
    async def connected(socket: WebSocket, services: ServicesDep) -> None:
        await _connected(name, socket, services)


for _name in BRIDGES:
    _route(_name)
