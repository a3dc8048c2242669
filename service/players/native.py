"""The client's side of `service.bridges.native`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from model.audio import SAMPLE_RATE
from service.bridges.interleaved import Encoding
from service.events import Pcm
from service.players.dialect import (
    AlertHeard,
    Dialect,
    Ear,
    ErrorHeard,
    Heard,
    Message,
    ReadingHeard,
    StoppedHeard,
    encoded,
)


class NativeDialect(Dialect):
    """All tracks of one call, and all that is to be heard of it."""

    name = "native"
    encodings = (Encoding.MULAW, Encoding.ALAW, Encoding.L16)
    takes = ("token",)
    ear = Ear.READINGS
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

    def receive(self, message: Message) -> Iterable[Heard]:
        try:
            heard = self._heard(json.loads(message))
        except (ValueError, KeyError, TypeError):
            heard = ErrorHeard("unreadable", f"the service said {message[:80]!r}", fatal=False)
        if heard is not None:
            yield heard

    def _heard(self, content: Any) -> Heard | None:
        match content["type"]:
            case "reading":
                return ReadingHeard(float(content["end_s"]))
            case "alert":
                return AlertHeard(
                    self._call_id, content["emotion"], content["state"], content["text"]
                )
            case "error":
                return ErrorHeard(content["code"], content["message"], content["fatal"])
            case "stopped":
                return StoppedHeard()
        return None
