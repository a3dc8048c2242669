"""Exotel's side of an AgentStream ("AgentStream: WebSocket protocol")."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping

import numpy as np

from model.audio import SAMPLE_RATE
from service.events import Pcm, Track
from service.telephony.shared.client import Message, ProviderClient, encoded
from service.telephony.shared.interleaved import Encoding

CHUNK_SAMPLES = 800  # 100 ms


class ExotelClient(ProviderClient):
    """The caller's track of one call, in L16, as the Stream applet sends it.

    `user` and `password` are those of an address like `wss://user:password@host`.
    """

    name = "exotel"
    encodings = (Encoding.L16,)
    accepts = ("user", "password")
    _unsent: Pcm = np.empty(0, np.int16)  # of the caller, less than a chunk
    _sequence = _chunk = 0  # the last one sent
    _sent = 0  # samples

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
        self._unsent = np.concatenate((self._unsent, caller))
        while len(self._unsent) >= CHUNK_SAMPLES:
            yield self._media(self._unsent[:CHUNK_SAMPLES])
            self._unsent = self._unsent[CHUNK_SAMPLES:]

    def stop(self) -> Iterable[Message]:
        if len(self._unsent):
            yield self._media(self._unsent)
        yield self._message(
            "stop",
            stop={"call_sid": self._call_id, "account_sid": "player", "reason": "callended"},
        )

    def _media(self, pcm: Pcm) -> str:
        at_ms = self._sent * 1000 // SAMPLE_RATE
        self._sent += len(pcm)
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
