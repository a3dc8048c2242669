"""Telnyx's side of a media stream ("Stream call media over WebSocket")."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping

from model.audio import SAMPLE_RATE
from service.events import Pcm, Track
from service.telephony.shared.client import Message, ProviderClient, encoded
from service.telephony.shared.interleaved import Encoding

TOKEN_HEADER = "x-telnyx-streaming-auth-token"
TRACKS = {Track.CALLER: "inbound", Track.AGENT: "outbound"}
CODECS = {Encoding.MULAW: "PCMU", Encoding.ALAW: "PCMA", Encoding.L16: "L16"}


class TelnyxClient(ProviderClient):
    """All tracks of one call; `token` is sent as Telnyx sends `stream_auth_token`."""

    name = "telnyx"
    encodings = tuple(CODECS)
    accepts = ("token",)
    _sequence = _chunk = 0  # the last one sent
    _sent = 0  # samples of each track

    def headers(self) -> Mapping[str, str]:
        token = self._credentials.token
        return {} if token is None else {TOKEN_HEADER: token}

    def start(self) -> Iterable[Message]:
        yield json.dumps({"event": "connected", "version": "1.0.0"})
        yield self._message(
            "start",
            start={
                "user_id": "player",
                "call_control_id": self._call_id,
                "call_session_id": f"session-{self._call_id}",
                "from": "+15550100001",
                "to": "+15550100002",
                "tags": [self._recording.name],
                "client_state": "",
                "media_format": {
                    "encoding": CODECS[self._encoding],
                    "sample_rate": SAMPLE_RATE,
                    "channels": 1,
                },
            },
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        at_ms = self._sent * 1000 // SAMPLE_RATE
        self._sent += len(pcm)
        self._chunk += 1
        for channel, track in enumerate(self._recording.tracks):
            yield self._message(
                "media",
                media={
                    "track": TRACKS[track],
                    "chunk": str(self._chunk),
                    "timestamp": str(at_ms),
                    "payload": b64encode(encoded(pcm[:, channel], self._encoding)).decode(),
                },
            )

    def stop(self) -> Iterable[Message]:
        yield self._message("stop", stop={"user_id": "player", "call_control_id": self._call_id})

    def _message(self, event: str, **content: object) -> str:
        self._sequence += 1
        return json.dumps(
            {
                "event": event,
                "sequence_number": str(self._sequence),
                "stream_id": f"stream-{self._call_id}",
                **content,
            }
        )
