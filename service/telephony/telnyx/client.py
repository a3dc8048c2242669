"""Telnyx's side of a media stream ("Stream call media over WebSocket")."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping

from model.audio import SAMPLE_RATE
from service.events import Pcm, Track
from service.telephony.shared.client import Message, ProviderClient, encoded
from service.telephony.shared.interleaved import Encoding

TRACKS = {Track.CALLER: "inbound", Track.AGENT: "outbound"}
NAMES = {Encoding.MULAW: "PCMU", Encoding.ALAW: "PCMA", Encoding.L16: "L16"}


class TelnyxClient(ProviderClient):
    """Both tracks of one call; with `token`, as `stream_auth_token` is taken to arrive."""

    name = "telnyx"
    encodings = tuple(NAMES)
    accepts = ("token",)
    _sequence = _chunk = 0  # the last that was sent
    _played = 0  # samples

    def headers(self) -> Mapping[str, str]:
        return self._credentials.bearer()

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
                    "encoding": NAMES[self._encoding],
                    "sample_rate": SAMPLE_RATE,
                    "channels": 1,
                },
            },
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        at_ms = self._played * 1000 // SAMPLE_RATE
        self._played += len(pcm)
        self._chunk += 1
        for lane, track in enumerate(self._recording.tracks):
            yield self._message(
                "media",
                media={
                    "track": TRACKS[track],
                    "chunk": str(self._chunk),
                    "timestamp": str(at_ms),
                    "payload": b64encode(encoded(pcm[:, lane], self._encoding)).decode(),
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
