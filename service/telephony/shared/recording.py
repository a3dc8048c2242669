"""Reads recorded calls and brings them to telephone audio."""

from dataclasses import dataclass
from pathlib import Path

from model.containers import BadRecording
from model.recording import decode_all
from service.errors import UnreadableRecording
from service.events import Pcm, Track


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded call."""

    name: str
    tracks: tuple[Track, ...]  # of the columns of `pcm`
    pcm: Pcm  # (n, tracks) int16 at 8 kHz
    path: Path | None = None  # of its file

    @classmethod
    def read(cls, path: Path, *, swap: bool = False) -> "Recording":
        """Reads a file of any format and rate that libsndfile reads.

        Mono is the caller; stereo is the caller left and the agent right, or, with `swap`, the
        agent left and the caller right.

        Raises:
            UnreadableRecording: no such file, not audio, no samples, or more than two channels.
        """
        try:
            with path.open("rb") as file:
                pcm = decode_all(file)
        except OSError as error:
            raise UnreadableRecording(path, error.strerror or str(error)) from error
        except BadRecording as error:
            raise UnreadableRecording(path, str(error)) from error
        tracks = (Track.AGENT, Track.CALLER) if swap else (Track.CALLER, Track.AGENT)
        return cls(
            name=path.name.encode(errors="replace").decode(),
            tracks=tracks if pcm.shape[1] == 2 else (Track.CALLER,),
            pcm=pcm,
            path=path,
        )
