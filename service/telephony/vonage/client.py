"""Vonage's side of a websocket endpoint ("WebSockets")."""

import json
from collections.abc import Iterable, Mapping

import numpy as np

from model.audio import SAMPLE_RATE
from service.events import Pcm
from service.telephony.shared.client import Message, ProviderClient, encoded
from service.telephony.shared.interleaved import Encoding
from service.telephony.vonage.bridge import CALL_ID


class VonageClient(ProviderClient):
    """The mix of all tracks of one call, in L16; `token` takes the place of Vonage's JWT."""

    name = "vonage"
    encodings = (Encoding.L16,)
    accepts = ("token",)

    def headers(self) -> Mapping[str, str]:
        return self._credentials.bearer()

    def start(self) -> Iterable[Message]:
        yield json.dumps(
            {
                "event": "websocket:connected",
                "content-type": f"audio/l16;rate={SAMPLE_RATE}",
                CALL_ID: self._call_id,
                "recording": self._recording.name,
            }
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        mix = pcm.sum(axis=1, dtype=np.int32).clip(-32_768, 32_767)
        yield encoded(mix, Encoding.L16)
