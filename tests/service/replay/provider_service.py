"""A small service of any provider's protocol: its bridge in a websocket server."""

import asyncio
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from model.labels import Emotion
from service.errors import CallRefused
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    CallSummary,
    Event,
    Pcm,
    Track,
    Transition,
)
from service.telephony.asterisk.bridge import AsteriskBridge
from service.telephony.audiohook.auth import AudioHookAuthenticator
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.exotel.bridge import ExotelBridge
from service.telephony.freeswitch.bridge import FreeswitchBridge
from service.telephony.jambonz.bridge import JambonzBridge
from service.telephony.plivo.auth import PlivoAuthenticator
from service.telephony.plivo.bridge import PlivoBridge
from service.telephony.shared.authenticator import Authenticator, Handshake, Unauthorized
from service.telephony.shared.basic import BasicAuthenticator
from service.telephony.shared.bearer import BearerAuthenticator
from service.telephony.shared.bridge import Bridge
from service.telephony.shared.client import ClientCredentials
from service.telephony.telnyx.bridge import TelnyxBridge
from service.telephony.telnyx.client import TOKEN_HEADER
from service.telephony.twilio.auth import TwilioAuthenticator
from service.telephony.twilio.bridge import TwilioBridge
from service.telephony.vonage.bridge import VonageBridge

SUMMARY = CallSummary(duration_s=0.5, speech_s=0.0, readings=0, alerts=0, dropped=0)
BOTH = frozenset(Track)
SECRET = "c2VjcmV0"
BASIC = ("freeswitch", "jambonz", "asterisk", "exotel")
PUBLIC = "wss://kanjo.example.com/calls"
AUTHENTICATORS: dict[str, Callable[[], Authenticator]] = {
    "audiohook": lambda: AudioHookAuthenticator({"k": b64decode(SECRET)}),
    "twilio": lambda: TwilioAuthenticator(f"{PUBLIC}/twilio", SECRET),
    "plivo": lambda: PlivoAuthenticator(f"{PUBLIC}/plivo", SECRET),
    "telnyx": lambda: BearerAuthenticator([SECRET], header=TOKEN_HEADER),
    "vonage": lambda: BearerAuthenticator([SECRET]),
    **{name: lambda: BasicAuthenticator({"u": SECRET}) for name in BASIC},
}
CREDENTIALS = {
    "audiohook": ClientCredentials(api_key="k", secret=SECRET),
    "twilio": ClientCredentials(secret=SECRET, public_url=f"{PUBLIC}/twilio"),
    "plivo": ClientCredentials(secret=SECRET, public_url=f"{PUBLIC}/plivo"),
    "telnyx": ClientCredentials(token=SECRET),
    "vonage": ClientCredentials(token=SECRET),
    **{name: ClientCredentials(user="u", password=SECRET) for name in BASIC},
}


def _asterisk(request: Request) -> Bridge:
    query = parse_qs(urlsplit(request.path).query)
    return AsteriskBridge(BOTH, call_id_hint=query["callId"][0], side_hint=query["side"][0])


BRIDGES: dict[str, Callable[[Request], Bridge]] = {
    "audiohook": lambda request: AudioHookBridge(
        request.headers["audiohook-session-id"],
        request.headers["audiohook-organization-id"],
        {"external": Track.CALLER, "internal": Track.AGENT},
        BOTH,
    ),
    "twilio": lambda _: TwilioBridge(BOTH),
    "freeswitch": lambda _: FreeswitchBridge(BOTH, call_id_hint="hint", alerts=True),
    "jambonz": lambda _: JambonzBridge(BOTH),
    "asterisk": _asterisk,
    "vonage": lambda _: VonageBridge(BOTH, analyse_mix=True),
    "telnyx": lambda _: TelnyxBridge(BOTH),
    "plivo": lambda _: PlivoBridge(BOTH),
    "exotel": lambda _: ExotelBridge(BOTH),
}
SUBPROTOCOLS = {
    "freeswitch": Subprotocol("audio.drachtio.org"),
    "jambonz": Subprotocol("audio.jambonz.org"),
    "asterisk": Subprotocol("media"),
}


@dataclass
class ProviderService:
    """Takes connections with one bridge each; every call fires an alert as soon as it starts."""

    bridge: str
    authenticator: Authenticator | None = None
    refusal: CallRefused | None = None
    fails_after: int | None = None  # messages
    connected: list[Bridge] = field(default_factory=list)
    subprotocols: list[str | None] = field(default_factory=list)
    received: list[list[Event]] = field(default_factory=list)  # of each connection
    audio_came: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        bridge = BRIDGES[self.bridge](socket.request)
        received: list[Event] = []
        self.connected.append(bridge)
        self.subprotocols.append(socket.subprotocol)
        self.received.append(received)
        messages = 0
        try:
            while bridge.close_code is None:
                message = await socket.recv()
                messages += 1
                for event in bridge.receive(message):
                    received.append(event)
                    self._respond(bridge, event)
                if messages == self.fails_after:
                    bridge.failed()
                for reply in bridge.replies():
                    await socket.send(reply)
            await socket.close(bridge.close_code, getattr(bridge, "close_reason", ""))
        except ConnectionClosed:
            received += bridge.disconnected()

    def _respond(self, bridge: Bridge, event: Event) -> None:
        match event:
            case CallStarted() if self.refusal:
                bridge.refused(self.refusal)
            case CallStarted():
                bridge.started("s", "kanjo", "1", 1.0)
                for number, state in enumerate([AlertState.PENDING, AlertState.FIRING], 1):
                    place = (Emotion.ANGER, state, 0.0, 2.0, 0.83, 0.83)
                    bridge.alert(Transition("a", number, event.call_id, Track.CALLER, *place))
            case Audio():
                self.audio_came.set()
            case CallStopped():
                bridge.stopped(event.reason, SUMMARY)

    def _authenticate(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        try:
            if self.authenticator is not None:
                self.authenticator.check(Handshake(request.path, headers), time.time())
        except Unauthorized as refusal:
            return connection.respond(HTTPStatus.UNAUTHORIZED, str(refusal))
        return None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The URL at which the service takes calls."""
        protocols = [SUBPROTOCOLS[self.bridge]] if self.bridge in SUBPROTOCOLS else None
        async with serve(
            self.call, "127.0.0.1", 0, process_request=self._authenticate, subprotocols=protocols
        ) as server:
            port = server.sockets[0].getsockname()[1]
            yield f"ws://127.0.0.1:{port}/calls/{self.bridge}"

    def pcm(self, track: Track) -> Pcm:
        pieces = [
            event.pcm
            for received in self.received
            for event in received
            if isinstance(event, Audio) and event.track is track
        ]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
