"""Reads recorded calls and brings them to telephone audio."""

from dataclasses import dataclass
from pathlib import Path

import soundfile

from model.audio import quantised, resample
from service.errors import UnreadableRecording
from service.events import Pcm, Track


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded call."""

    name: str
    tracks: tuple[Track, ...]  # of the columns of `pcm`
    pcm: Pcm  # (n, tracks) int16 at 8 kHz

    @classmethod
    def read(cls, path: Path, *, swap: bool = False) -> "Recording":
        """Reads a file of any format and rate that libsndfile reads.

        Mono is the caller; stereo is the caller left and the agent right, or, with `swap`, the
        agent left and the caller right.

        Raises:
            UnreadableRecording: no such file, not audio, no samples, or more than two channels.
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
