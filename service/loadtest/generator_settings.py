"""What the generator's process reads from its standard input, in one line of JSON."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from service.loadtest.generator import Callers
from service.loadtest.speech import tape, utterances
from service.replay.player import CLIENTS
from service.telephony.shared.client import ClientCredentials
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

TAPES = 16
TAPE_S = 120.0


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """How calls are made.

    Args:
        speech: files of recordings, whose callers' utterances are said.
        talk: share of the time in which a caller speaks, 0 to 1.
        arrivals: new calls a second; None: all at once.
        call_s: mean duration of a call.
    """

    url: str
    speech: tuple[str, ...]
    bridge: str = "native"
    encoding: str | None = None
    talk: float = 0.45
    frame_ms: int = 20
    arrivals: float | None = 20.0
    call_s: float = 180.0
    seed: int = 0
    credentials: ClientCredentials = ClientCredentials()

    def at(self, url: str) -> "GeneratorSettings":
        """Returns the same with calls that connect to `url`."""
        return replace(self, url=url)

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as JSON has them, credentials included."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "GeneratorSettings":
        """Returns the settings of `to_json`."""
        credentials = ClientCredentials(**content["credentials"])
        known = {field.name: content[field.name] for field in fields(cls)}
        return cls(**{**known, "credentials": credentials, "speech": tuple(content["speech"])})

    def callers(self) -> Callers:
        """Returns the callers, with tapes of what they say.

        Raises:
            UnreadableRecording: a file is no recording.
            NoSpeech: there is no utterance in any of them.
            UnsupportedByProvider: the provider uses no such encoding or credentials.
        """
        recordings = [Recording.read(Path(file)) for file in self.speech]
        encoding = Encoding(self.encoding) if self.encoding else None
        client = CLIENTS[self.bridge]
        client.connections("", recordings[0], encoding, self.url, self.credentials)
        spoken = utterances(recordings)
        frame_samples = self.frame_ms * 8
        return Callers(
            client,
            self.url,
            encoding,
            self.credentials,
            [
                tape(spoken, self.talk, TAPE_S, frame_samples, self.seed * TAPES + number)
                for number in range(TAPES)
            ],
            frame_samples,
            self.call_s,
        )
