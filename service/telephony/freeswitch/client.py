"""FreeSWITCH's side of a fork: `uuid_audio_fork`, `uuid_audio_stream`."""

import json
from collections.abc import Iterable, Mapping
from typing import Literal

from model.audio import SAMPLE_RATE
from service.events import Pcm
from service.telephony.freeswitch.bridge import FreeswitchBridge, Mix
from service.telephony.shared.client import (
    NO_CREDENTIALS,
    AlertReceived,
    ClientCredentials,
    ErrorReceived,
    Feedback,
    Message,
    ProviderClient,
    Received,
    encoded,
)
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording


class FreeswitchClient(ProviderClient):
    """One fork of one channel, which carries what the recording has.

    mod_audio_fork sends its metadata first, mod_audio_stream often after some audio. Both only
    close at the end. With `user` and `password` the handshake carries them, as it does where
    MOD_AUDIO_BASIC_AUTH_USERNAME and _PASSWORD are set, or STREAM_EXTRA_HEADERS.
    """

    name = "freeswitch"
    encodings = (Encoding.L16,)
    takes = ("user", "password")
    subprotocols = FreeswitchBridge.SUBPROTOCOLS
    feedback = Feedback.ALERTS

    def __init__(
        self,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None = None,
        *,
        url: str = "",
        access: ClientCredentials = NO_CREDENTIALS,
        module: Literal["mod_audio_fork", "mod_audio_stream"] = "mod_audio_fork",
    ) -> None:
        super().__init__(call_id, recording, encoding, url=url, access=access)
        self._late = module == "mod_audio_stream"  # the metadata, and still to come
        if self._late:
            self.subprotocols = ()

    def headers(self) -> Mapping[str, str]:
        return self._access.basic()

    def start(self) -> Iterable[Message]:
        if not self._late:
            yield self._metadata()

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        yield encoded(pcm, Encoding.L16)
        if self._late:
            self._late = False
            yield self._metadata()

    def receive(self, message: Message) -> Iterable[Received]:
        """Alerts, where the service was told to send them."""
        try:
            data = json.loads(message)["data"]
            yield AlertReceived(data["call_id"], data["emotion"], data["state"], data["text"])
        except (ValueError, KeyError, TypeError):
            yield ErrorReceived("unreadable", f"the service said {message[:80]!r}", fatal=False)

    def _metadata(self) -> str:
        return json.dumps({"sampleRate": SAMPLE_RATE, "mixType": self._mix, **self._attributes()})

    @property
    def _mix(self) -> Mix:
        return Mix.MONO if len(self._recording.tracks) == 1 else Mix.STEREO

    def _attributes(self) -> dict[str, object]:
        return {"call_id": self._call_id, "recording": self._recording.name}
