"""Plivo's side of an audio stream ("Audio Streaming")."""

import json
import secrets
from base64 import b64encode
from collections.abc import Iterable, Mapping

from model.audio import SAMPLE_RATE
from service.events import Pcm, Track
from service.telephony.plivo.auth import NONCE, SIGNATURE, sign
from service.telephony.shared.client import Message, ProviderClient, encoded
from service.telephony.shared.interleaved import Encoding

TRACKS = {Track.CALLER: "inbound", Track.AGENT: "outbound"}
CONTENT_TYPES = {Encoding.MULAW: "audio/x-mulaw", Encoding.L16: "audio/x-l16"}


class PlivoClient(ProviderClient):
    """All tracks of one call; the auth token, `secret`, signs the handshake."""

    name = "plivo"
    encodings = tuple(CONTENT_TYPES)
    accepts = ("secret", "public_url")
    _sequence = _chunk = 0  # the last one sent
    _sent = 0  # samples of each track

    @property
    def _stream_id(self) -> str:
        return f"stream-{self._call_id}"

    def headers(self) -> Mapping[str, str]:
        secret = self._credentials.secret
        if secret is None:
            return {}
        nonce = secrets.token_hex(16)
        return {NONCE: nonce, SIGNATURE: sign(secret, self._signed_url, nonce)}

    def start(self) -> Iterable[Message]:
        yield self._message(
            "start",
            start={
                "callId": self._call_id,
                "streamId": self._stream_id,
                "accountId": "MA0000000000000000",
                "tracks": [TRACKS[track] for track in self._recording.tracks],
                "mediaFormat": {
                    "encoding": CONTENT_TYPES[self._encoding],
                    "sampleRate": SAMPLE_RATE,
                },
            },
            extra_headers=f"{{recording: {self._recording.name}}}",
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        at_ms = self._sent * 1000 // SAMPLE_RATE
        self._sent += len(pcm)
        for channel, track in enumerate(self._recording.tracks):
            self._chunk += 1
            yield self._message(
                "media",
                streamId=self._stream_id,
                media={
                    "track": TRACKS[track],
                    "timestamp": str(at_ms),
                    "chunk": self._chunk,
                    "payload": b64encode(encoded(pcm[:, channel], self._encoding)).decode(),
                },
            )

    def _message(self, event: str, **content: object) -> str:
        self._sequence += 1
        return json.dumps({"sequenceNumber": self._sequence, "event": event, **content})
