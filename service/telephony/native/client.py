"""The client's side of `service.telephony.native.bridge`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from model.audio import SAMPLE_RATE
from service.events import Pcm
from service.telephony.shared.client import (
    AlertReceived,
    ErrorReceived,
    Feedback,
    Message,
    ProviderClient,
    ReadingReceived,
    Received,
    StoppedReceived,
    encoded,
)
from service.telephony.shared.interleaved import Encoding


class NativeClient(ProviderClient):
    """All tracks of one call, and all that is to be heard of it."""

    name = "native"
    encodings = (Encoding.MULAW, Encoding.ALAW, Encoding.L16)
    takes = ("token",)
    feedback = Feedback.READINGS
    hangs_up = False

    def headers(self) -> Mapping[str, str]:
        return self._access.bearer()

    def start(self) -> Iterable[Message]:
        yield json.dumps(
            {
                "type": "start",
                "call_id": self._call_id,
                "encoding": self._encoding,
                "sample_rate": SAMPLE_RATE,
                "tracks": self._recording.tracks,
                "metadata": {"recording": self._recording.name},
            }
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        yield encoded(pcm, self._encoding)

    def stop(self) -> Iterable[Message]:
        yield '{"type": "stop"}'

    def receive(self, message: Message) -> Iterable[Received]:
        try:
            heard = self._heard(json.loads(message))
        except (ValueError, KeyError, TypeError):
            heard = ErrorReceived("unreadable", f"the service said {message[:80]!r}", fatal=False)
        if heard is not None:
            yield heard

    def _heard(self, content: Any) -> Received | None:
        match content["type"]:
            case "reading":
                return ReadingReceived(float(content["end_s"]))
            case "alert":
                return AlertReceived(
                    self._call_id, content["emotion"], content["state"], content["text"]
                )
            case "error":
                return ErrorReceived(content["code"], content["message"], content["fatal"])
            case "stopped":
                return StoppedReceived()
        return None
