"""Genesys' side of AudioHook: `service.telephony.audiohook.bridge` is the other.

Behaves as the client of Genesys' reference implementation does: frames of 200 ms, a ping a second
after `opened`, another on its pong and then one in 5 s, and a handshake signed as by
draft-ietf-httpbis-message-signatures-11.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from model.audio import SAMPLE_RATE
from service.events import Pcm, Track
from service.telephony.shared.client import (
    NO_CREDENTIALS,
    AlertReceived,
    ClientCredentials,
    ErrorReceived,
    Feedback,
    Message,
    ProviderClient,
    Received,
    StoppedReceived,
    UnsupportedByProvider,
    encoded,
)
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

FORMATS = {Encoding.MULAW: "PCMU", Encoding.L16: "L16"}
CHANNELS = {Track.CALLER: "external", Track.AGENT: "internal"}
PORTS = {"ws": 80, "wss": 443}

FRAME_SAMPLES = SAMPLE_RATE // 5
FIRST_PING_S = 1  # after opened
PING_EVERY_S = 5
ANY_KEY = "replay"  # a provider always sends one
KEPT_S = 20  # of audio before opened; what is older is discarded


class AudioHookClient(ProviderClient):
    """One session, the client's side; its clock is the audio it is given.

    Every call of `frame` or `stop` yields all that is due, answers to the server included.

    Args:
        call_id: names the conversation, whose id is made of it.
        access: the secret is the API key's, in base64; without one the handshake is not signed.
        now: seconds since 1970, when the handshake is signed.
        clock: seconds, to time pongs with.
    """

    name = "audiohook"
    encodings = tuple(FORMATS)
    takes = ("api_key", "secret", "public_url")
    feedback = Feedback.ALERTS
    hangs_up = False

    def __init__(
        self,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None = None,
        *,
        url: str = "",
        access: ClientCredentials = NO_CREDENTIALS,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(call_id, recording, encoding, url=url, access=access)
        self.session_id = str(uuid.uuid4())
        self.organization_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, "kanjo-replay"))
        self.conversation_id = str(uuid.uuid5(uuid.NAMESPACE_OID, call_id))
        self._format = FORMATS[self._encoding]
        self._api_key = access.api_key or ANY_KEY
        self._secret = None if access.secret is None else _decoded(access.secret)
        self._now = now
        self._clock = clock

        self._seq = self._serverseq = 0
        self._samples = 0  # given so far
        self._position = 0  # samples sent or discarded
        self._kept: deque[Pcm] = deque()  # (n, tracks), not sent yet
        self._kept_samples = 0
        self._media: Mapping[str, Any] | None = None  # once opened
        self._columns: list[int] = []  # of the recording, as the media interleaves them
        self._opened = self._paused = self._closing = False
        self._paused_samples = 0
        self._due: deque[tuple[str, dict[str, Any]]] = deque()  # answers to the server
        self._ping_at: int | None = None  # samples
        self._pinged: tuple[int, float] | None = None  # the one whose pong is to come: seq, when
        self._pings = 0
        self._rtt_s: float | None = None

    def headers(self) -> Mapping[str, str]:
        url = urlsplit(self._signed_url)
        port = "" if url.port in (None, PORTS.get(url.scheme)) else f":{url.port}"
        host = url.hostname or ""
        signed = {
            "@request-target": (url.path or "/") + (f"?{url.query}" if url.query else ""),
            "@authority": (f"[{host}]" if ":" in host else host) + port,
            "audiohook-organization-id": self.organization_id,
            "audiohook-session-id": self.session_id,
            "audiohook-correlation-id": str(uuid.uuid4()),
            "x-api-key": self._api_key,
        }
        headers = {name: value for name, value in signed.items() if not name.startswith("@")}
        if self._secret is not None:
            headers |= signature(signed, self._api_key, self._secret, int(self._now()))
        return headers

    def start(self) -> Iterable[Message]:
        """`open`, with all media that the recording has."""
        channels = [CHANNELS[track] for track in self._recording.tracks]
        offers = [channels, *([one] for one in channels)] if len(channels) > 1 else [channels]
        media = [
            {"type": "audio", "format": self._format, "channels": offer, "rate": SAMPLE_RATE}
            for offer in offers
        ]
        yield self._message(
            "open",
            organizationId=self.organization_id,
            conversationId=self.conversation_id,
            participant={"id": str(uuid.uuid4()), "ani": "", "aniName": "", "dnis": ""},
            media=media,
            customConfig={"recording": self._recording.name},
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        """The next samples (n, tracks), any number of them."""
        self._samples += len(pcm)
        yield from self._answer()
        if self._closing:
            return
        if self._paused:
            self._paused_samples += len(pcm)
        else:
            self._keep(pcm)
            if self._opened:
                yield from self._send(FRAME_SAMPLES)
        if self._ping_at is not None and self._samples >= self._ping_at:
            yield from self._ping()

    def stop(self) -> Iterable[Message]:
        """What is left, and `close`."""
        yield from self._answer()
        if not self._closing:
            if self._opened and not self._paused:
                yield from self._send(1)
            yield self._close("end")

    def receive(self, message: Message) -> Iterable[Received]:
        """What a message says of the call; what is to be answered goes with the next frame."""
        try:
            content = json.loads(message)
            if content["seq"] != self._serverseq + 1 or content["id"] != self.session_id:
                raise ValueError(content["seq"])
            self._serverseq = content["seq"]
            heard = list(self._heard(content["type"], content["parameters"], content["clientseq"]))
        except (ValueError, KeyError, TypeError):
            text = f"the service said {message[:120]!r}, expected message {self._serverseq + 1}"
            self._fail(400, text)
            heard = [ErrorReceived("unreadable", text, fatal=False)]
        yield from heard

    def _heard(self, kind: str, parameters: Any, clientseq: int) -> Iterator[Received]:
        match kind:
            case "opened":
                self._open(parameters)
            case "pong":
                self._pong(clientseq)
            case "pause":
                if not self._paused:
                    self._paused, self._paused_samples = True, 0
                self._due.append(("paused", {}))
            case "resume":
                self._paused = False
                discarded, self._paused_samples = self._paused_samples, 0
                parameters = {"start": self._at(), "discarded": _duration(discarded)}
                self._due.append(("resumed", parameters))
            case "disconnect":
                if not self._closing:
                    self._due.append(("close", {"reason": "disconnect"}))
                    if parameters["reason"] != "completed":
                        info = parameters.get("info", "")
                        yield ErrorReceived(parameters["reason"], info, fatal=True)
            case "closed":
                yield StoppedReceived()
            case "event":
                for entity in parameters["entities"]:
                    if entity["type"] == "kanjo.alert":
                        alert = entity["data"]
                        yield AlertReceived(
                            self.conversation_id, alert["emotion"], alert["state"], alert["text"]
                        )

    def _open(self, parameters: Any) -> None:
        self._opened = True
        self._ping_at = self._samples + FIRST_PING_S * SAMPLE_RATE
        if parameters.get("startPaused"):
            self._paused = True
            self._due.append(("paused", {}))
        if parameters["media"]:
            (self._media,) = parameters["media"]
            tracks = [CHANNELS[track] for track in self._recording.tracks]
            self._columns = [tracks.index(channel) for channel in self._media["channels"]]

    def _keep(self, pcm: Pcm) -> None:
        self._kept.append(pcm)
        self._kept_samples += len(pcm)
        while self._kept_samples > KEPT_S * SAMPLE_RATE:
            oldest = len(self._kept.popleft())
            self._kept_samples -= oldest
            self._position += oldest

    def _send(self, at_least: int) -> Iterator[Message]:
        """All that is kept, if it is enough; at once what piled up before `opened`."""
        if self._kept_samples < at_least:
            return
        pcm = np.concatenate(self._kept)
        self._kept.clear()
        self._kept_samples = 0
        self._position += len(pcm)
        if self._media is not None:
            chosen = np.ascontiguousarray(pcm[:, self._columns])
            yield encoded(chosen, self._encoding)

    def _answer(self) -> Iterator[Message]:
        while self._due and not self._closing:
            kind, parameters = self._due.popleft()
            if kind == "close":
                yield self._close(parameters["reason"])
            else:
                yield self._message(kind, **parameters)

    def _ping(self) -> Iterator[Message]:
        if self._pinged:
            yield self._message("error", code=408, message="Timeout waiting for pong")
            yield self._close("error")
            return
        rtt = {} if self._rtt_s is None else {"rtt": f"PT{self._rtt_s:.9f}S"}
        self._pinged = self._seq + 1, self._clock()
        self._pings += 1
        self._ping_at = self._samples + PING_EVERY_S * SAMPLE_RATE
        yield self._message("ping", **rtt)

    def _pong(self, clientseq: int) -> None:
        if self._pinged is None or self._pinged[0] != clientseq:
            self._due.append(("error", {"code": 409, "message": "Unexpected pong"}))
            return
        self._rtt_s = self._clock() - self._pinged[1]
        self._pinged = None
        if self._pings == 1:
            self._ping_at = self._samples

    def _fail(self, code: int, text: str) -> None:
        self._due.append(("error", {"code": code, "message": text}))
        self._due.append(("close", {"reason": "error"}))

    def _close(self, reason: str) -> str:
        self._closing = True
        return self._message("close", reason=reason)

    def _at(self) -> str:
        return _duration(self._position)

    def _message(self, kind: str, **parameters: Any) -> str:
        self._seq += 1
        return json.dumps(
            {
                "version": "2",
                "type": kind,
                "id": self.session_id,
                "seq": self._seq,
                "serverseq": self._serverseq,
                "position": self._at(),
                "parameters": parameters,
            }
        )


def signature(
    components: Mapping[str, str], key: str, secret: bytes, created: int
) -> dict[str, str]:
    """The two headers that sign these components, named as in the draft's section 2."""
    nonce = secrets.token_urlsafe(24)
    names = " ".join(f'"{name}"' for name in components)
    signed = (
        f'({names});keyid="{key}";nonce="{nonce}";alg="hmac-sha256"'
        f";created={created};expires={created + 10}"
    )
    lines = [f'"{name}": {value}' for name, value in components.items()]
    base = "\n".join((*lines, f'"@signature-params": {signed}'))
    digest = hmac.digest(secret, base.encode(), hashlib.sha256)
    return {
        "signature-input": f"sig1={signed}",
        "signature": f"sig1=:{base64.b64encode(digest).decode()}:",
    }


def _decoded(secret: str) -> bytes:
    try:
        return base64.b64decode(secret, validate=True)
    except ValueError:
        raise UnsupportedByProvider(
            "audiohook: got a secret that is no base64, expected base64"
        ) from None


def _duration(samples: int) -> str:
    return f"PT{Decimal(samples) / SAMPLE_RATE:f}S"
