"""Exotel's side of an AgentStream ("AgentStream: WebSocket protocol")."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping

import numpy as np

from model.audio import SAMPLE_RATE
from service.events import Pcm, Track
from service.telephony.shared.client import Message, ProviderClient, encoded
from service.telephony.shared.interleaved import Encoding

PIECE_SAMPLES = 800  # 100 ms


class ExotelClient(ProviderClient):
    """The caller of one call, in L16: what the Stream applet forks.

    `user` and `password` are those of an address like `wss://user:password@host`.
    """

    name = "exotel"
    encodings = (Encoding.L16,)
    accepts = ("user", "password")
    _waiting: Pcm = np.empty(0, np.int16)  # of the caller, less than a piece
    _sequence = _chunk = 0  # the last that was sent
    _played = 0  # samples

    @property
    def _stream_sid(self) -> str:
        return f"stream-{self._call_id}"

    def headers(self) -> Mapping[str, str]:
        return self._credentials.basic()

    def start(self) -> Iterable[Message]:
        yield json.dumps({"event": "connected"})
        yield self._message(
            "start",
            start={
                "stream_sid": self._stream_sid,
                "call_sid": self._call_id,
                "account_sid": "player",
                "from": "+915550100001",
                "to": "+915550100002",
                "custom_parameters": {"recording": self._recording.name},
                "media_format": {
                    "encoding": "audio/x-raw",
                    "sample_rate": str(SAMPLE_RATE),
                    "bit_rate": "16",
                },
            },
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        caller = pcm[:, self._recording.tracks.index(Track.CALLER)]
        self._waiting = np.concatenate((self._waiting, caller))
        while len(self._waiting) >= PIECE_SAMPLES:
            yield self._media(self._waiting[:PIECE_SAMPLES])
            self._waiting = self._waiting[PIECE_SAMPLES:]

    def stop(self) -> Iterable[Message]:
        if len(self._waiting):
            yield self._media(self._waiting)
        yield self._message(
            "stop",
            stop={"call_sid": self._call_id, "account_sid": "player", "reason": "callended"},
        )

    def _media(self, pcm: Pcm) -> str:
        at_ms = self._played * 1000 // SAMPLE_RATE
        self._played += len(pcm)
        self._chunk += 1
        return self._message(
            "media",
            media={
                "chunk": str(self._chunk),
                "timestamp": str(at_ms),
                "payload": b64encode(encoded(pcm, Encoding.L16)).decode(),
            },
        )

    def _message(self, event: str, **content: object) -> str:
        self._sequence += 1
        return json.dumps(
            {
                "event": event,
                "sequence_number": str(self._sequence),
                "stream_sid": self._stream_sid,
                **content,
            }
        )
