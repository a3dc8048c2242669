"""Twilio's side of a one-way Media Stream ("Media Streams - WebSocket Messages")."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping

from model.audio import SAMPLE_RATE
from service.events import Pcm, Track
from service.telephony.shared.client import Message, ProviderClient, encoded
from service.telephony.shared.interleaved import Encoding
from service.telephony.twilio.auth import SIGNATURE, sign
from service.telephony.twilio.bridge import TOKEN

TRACKS = {Track.CALLER: "inbound", Track.AGENT: "outbound"}


class TwilioClient(ProviderClient):
    """`<Start><Stream>` of one call, in mu-law.

    The account's auth token, `secret`, signs the handshake; a `token` is sent with the start.
    """

    name = "twilio"
    encodings = (Encoding.MULAW,)
    accepts = ("secret", "token", "public_url")
    _sequence = _chunk = 0  # the last one sent
    _sent = 0  # samples of each track

    @property
    def _stream_sid(self) -> str:
        return f"MZ{self._call_id}"

    def headers(self) -> Mapping[str, str]:
        secret = self._credentials.secret
        return {} if secret is None else {SIGNATURE: sign(secret, self._signed_url)}

    def start(self) -> Iterable[Message]:
        yield json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        parameters = {"recording": self._recording.name}
        if self._credentials.token is not None:
            parameters[TOKEN] = self._credentials.token
        yield self._message(
            "start",
            start={
                "accountSid": "AC00000000000000000000000000000000",
                "streamSid": self._stream_sid,
                "callSid": self._call_id,
                "tracks": [TRACKS[track] for track in self._recording.tracks],
                "mediaFormat": {
                    "encoding": "audio/x-mulaw",
                    "sampleRate": SAMPLE_RATE,
                    "channels": 1,
                },
                "customParameters": parameters,
            },
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        at_ms = self._sent * 1000 // SAMPLE_RATE
        self._sent += len(pcm)
        for channel, track in enumerate(self._recording.tracks):
            self._chunk += 1
            yield self._message(
                "media",
                media={
                    "track": TRACKS[track],
                    "chunk": str(self._chunk),
                    "timestamp": str(at_ms),
                    "payload": b64encode(encoded(pcm[:, channel], Encoding.MULAW)).decode(),
                },
            )

    def stop(self) -> Iterable[Message]:
        yield self._message(
            "stop",
            stop={"accountSid": "AC00000000000000000000000000000000", "callSid": self._call_id},
        )

    def _message(self, event: str, **content: object) -> str:
        self._sequence += 1
        return json.dumps(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                "streamSid": self._stream_sid,
                **content,
            }
        )
