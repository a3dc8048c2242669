"""The client's side of the native protocol; `service.telephony.native.bridge` is the service's."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from model.audio import SAMPLE_RATE
from model.labels import EMOTIONS
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
    """One call with all its tracks; receives its readings and alerts."""

    name = "native"
    encodings = (Encoding.MULAW, Encoding.ALAW, Encoding.L16)
    accepts = ("token",)
    feedback = Feedback.READINGS
    hangs_up = False

    def headers(self) -> Mapping[str, str]:
        return self._credentials.bearer()

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
            received = self._result(json.loads(message))
        except (ValueError, KeyError, TypeError):
            text = f"the service sent {message[:80]!r}"
            received = ErrorReceived("unreadable", text, fatal=False)
        if received is not None:
            yield received

    def _result(self, content: Any) -> Received | None:
        match content["type"]:
            case "reading":
                shares = content["probabilities"]
                return ReadingReceived(
                    self._call_id,
                    str(content["track"]),
                    float(content["start_s"]),
                    float(content["end_s"]),
                    {emotion: float(shares[emotion]) for emotion in EMOTIONS},
                )
            case "alert":
                return AlertReceived(
                    self._call_id, content["emotion"], content["state"], content["text"]
                )
            case "error":
                return ErrorReceived(content["code"], content["message"], content["fatal"])
            case "stopped":
                return StoppedReceived()
        return None
