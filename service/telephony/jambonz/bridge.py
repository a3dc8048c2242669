"""jambonz `listen` and `stream`: mod_audio_fork with the call's attributes as its metadata.

The first text has the call's attributes with `sampleRate`, `mixType` and the verb's own `metadata`
(jambonz documentation, "listen"); later texts are `{"event": "dtmf", ...}`.
"""

from typing import ClassVar

from service.events import Track
from service.telephony.freeswitch.bridge import FreeswitchBridge


class JambonzBridge(FreeswitchBridge):
    """One fork of one call; it is refused if its first text lacks `callSid`, rate or mix.

    `channels` are the tracks of `mixType: stereo`, in jambonz the caller and the party to whom the
    call is connected; `mono` is the track of `mixType: mono`.
    """

    NAME: ClassVar[str] = "jambonz"
    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ("audio.jambonz.org",)

    def __init__(
        self,
        analysed_tracks: frozenset[Track],
        *,
        channels: tuple[Track | None, Track | None] = (Track.CALLER, Track.AGENT),
        mono: Track = Track.CALLER,
        analyse_mix: bool = False,
        max_frame_bytes: int = 524_288,
        max_pre_start_bytes: int = 65_536,
    ) -> None:
        super().__init__(
            analysed_tracks,
            call_id_hint="",
            channels=channels,
            mono=mono,
            analyse_mix=analyse_mix,
            call_id_fields=("callSid",),
            max_frame_bytes=max_frame_bytes,
            max_pre_start_bytes=max_pre_start_bytes,
        )
