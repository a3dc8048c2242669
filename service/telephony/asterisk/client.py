"""Asterisk's side of a chan_websocket channel.

`service.telephony.asterisk.bridge` is the service's side.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import quote

from model.audio import SAMPLE_RATE
from service.events import Pcm, Track
from service.telephony.asterisk.bridge import AsteriskBridge
from service.telephony.shared.client import (
    NO_CREDENTIALS,
    ClientCredentials,
    Message,
    ProviderClient,
    UnsupportedByProvider,
    encoded,
)
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

FORMATS = {Encoding.MULAW: "ulaw", Encoding.ALAW: "alaw", Encoding.L16: "slin"}
SAMPLE_BYTES = {Encoding.MULAW: 1, Encoding.ALAW: 1, Encoding.L16: 2}
SIDES = {Track.CALLER: "in", Track.AGENT: "out"}
PTIME_MS = 20


class AsteriskClient(ProviderClient):
    """One channel `WebSocket/kanjo/c(..)f(..)v(callId=..,side=..)`: one track of a recording.

    A call of two tracks is two connections with the same `call_id`. Asterisk adds `query` to the
    address; plain text events have callId and side nowhere else.

    Args:
        track: of the recording, that this channel carries.
        events: the form of Asterisk's events.

    Raises:
        UnsupportedByProvider: also if the recording has no such track.
    """

    name = "asterisk"
    subprotocols = AsteriskBridge.SUBPROTOCOLS
    encodings = tuple(FORMATS)
    accepts = ("user", "password")

    def __init__(
        self,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None = None,
        *,
        url: str = "",
        credentials: ClientCredentials = NO_CREDENTIALS,
        track: Track = Track.CALLER,
        events: Literal["json", "plain-text"] = "json",
    ) -> None:
        super().__init__(call_id, recording, encoding, url=url, credentials=credentials)
        if track not in recording.tracks:
            expected = " or ".join(recording.tracks)
            raise UnsupportedByProvider(f"asterisk: got track {track}, expected {expected}")
        self._column = recording.tracks.index(track)
        self._events = events
        self._parameters = f"callId={quote(call_id)},side={SIDES[track]}"
        self._channel_id = f"{call_id}.{SIDES[track]}"
        self.query = self._parameters.replace(",", "&")

    @classmethod
    def connections(
        cls,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None,
        url: str,
        credentials: ClientCredentials,
    ) -> Sequence[ProviderClient]:
        return [
            cls(call_id, recording, encoding, url=url, credentials=credentials, track=track)
            for track in recording.tracks
        ]

    def headers(self) -> Mapping[str, str]:
        return self._credentials.basic()

    def start(self) -> Iterable[Message]:
        name = FORMATS[self._encoding]
        frame_bytes = SAMPLE_RATE * PTIME_MS // 1000 * SAMPLE_BYTES[self._encoding]
        fields = {
            "connection_id": "kanjo",
            "channel": "WebSocket/kanjo/0x7f2c8c0129f0",
            "channel_id": self._channel_id,
            "format": name,
            "optimal_frame_size": frame_bytes,
            "ptime": PTIME_MS,
        }
        if self._events == "plain-text":
            yield " ".join(["MEDIA_START", *(f"{key}:{value}" for key, value in fields.items())])
            return
        variables = {
            "DIALEDPEERNUMBER": f"kanjo/c({name})f(json)v({self._parameters})",
            "MEDIA_WEBSOCKET_CONNECTION_ID": "kanjo",
            "MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE": str(frame_bytes),
        }
        yield json.dumps({"event": "MEDIA_START", **fields, "channel_variables": variables})

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        yield encoded(pcm[:, self._column], self._encoding)
