"""Recordings of calls, read from audio files and resampled for telephony."""

from dataclasses import dataclass
from pathlib import Path

import soundfile

from model.audio import quantised, resample
from service.errors import UnreadableRecording
from service.events import Pcm, Track


@dataclass(frozen=True, slots=True)
class Recording:
    """The recording of one call."""

    name: str
    tracks: tuple[Track, ...]
    pcm: Pcm  # (n, tracks) at 8 kHz

    @classmethod
    def read(cls, path: Path, *, swap: bool = False) -> "Recording":
        """Reads an audio file: mono is the caller, stereo the caller left and the agent right.

        Args:
            path: of the file.
            swap: in stereo the agent is left and the caller right.

        Raises:
            UnreadableRecording: it is no audio file of one or two channels with samples.
        """
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise UnreadableRecording(path, str(error)) from error
        count, channels = samples.shape
        if channels > 2:
            raise UnreadableRecording(path, f"got {channels} channels, expected 1 or 2")
        if not count:
            raise UnreadableRecording(path, "got no samples, expected a recording")
        tracks = (Track.AGENT, Track.CALLER) if swap else (Track.CALLER, Track.AGENT)
        return cls(
            name=path.name.encode(errors="replace").decode(),
            tracks=tracks if channels == 2 else (Track.CALLER,),
            pcm=resample(quantised(samples), rate),
        )
