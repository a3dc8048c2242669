"""openSMILE's functionals of utterances in one channel, kept on disk.

They are computed on the same samples as the networks' features, so that systems are comparable.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import opensmile
from numpy.typing import NDArray

from model.audio import Pcm
from model.features import FeatureSpec
from model.files import atomic_write
from model.gate import HOP_SAMPLES, speech_spans
from training.data.channel import Channel
from training.data.manifest import Utterance
from training.data.recordings import PLAIN_GATE, RecordingError, map_recordings, read_recording

FunctionalsTable = NDArray[np.float64]  # (N, F)

SPEC = FeatureSpec()
LEAST_SAMPLES = 480  # openSMILE's longest frame, 60 ms


def speech_samples(path: Path, channel: Channel) -> Pcm:
    """Returns the samples of the frames that a network is given: first to last speech, 7.5 s.

    Raises:
        RecordingError: the recording is unreadable, or too short for openSMILE.
    """
    pcm = channel.apply(read_recording(path))
    frames = SPEC.frames_in(len(pcm))
    spans = speech_spans(pcm, PLAIN_GATE)
    first, after = (spans[0].start, spans[-1].end) if spans else (0, frames)
    after = min(after, frames, first + SPEC.window_frames)
    pcm = pcm[first * HOP_SAMPLES : (after - 1) * HOP_SAMPLES + SPEC.frame_samples]
    if len(pcm) < LEAST_SAMPLES:
        raise RecordingError(f"{path}: {len(pcm)} samples, expected {LEAST_SAMPLES} or more")
    return pcm


@cache
def _smile(functionals: str) -> opensmile.Smile:
    return opensmile.Smile(opensmile.FeatureSet[functionals], opensmile.FeatureLevel.Functionals)


def functionals_of(path: Path, functionals: str, channel: Channel) -> NDArray[np.float32]:
    """Returns one recording's functionals (F,); 0 where openSMILE's value is not finite."""
    wave = speech_samples(path, channel)[None] / np.float32(32_768)  # (1, n)
    found: NDArray[np.float32] = _smile(functionals)(wave, SPEC.sample_rate)[0, :, 0]
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


def build(
    utterances: Sequence[Utterance], functionals: str, channel: Channel, folder: Path
) -> FunctionalsTable:
    """Reads the functionals from `folder`, and extracts them first if they are missing.

    Every set of functionals, channel and list of utterances has its own file. An extraction that
    was interrupted continues where it stopped; a second process is blocked until it is complete.

    Raises:
        RecordingError: an utterance can't be read.
    """
    how = [
        opensmile.__version__,
        functionals,
        asdict(channel),
        asdict(PLAIN_GATE),
        SPEC.window_frames,
    ]
    listed = json.dumps([[str(u.path) for u in utterances], how])
    path = folder / f"{functionals}-{hashlib.sha256(listed.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".part").open("a+b") as file:  # row after row
            fcntl.lockf(file, fcntl.LOCK_EX)
            if not path.exists():
                extract = partial(functionals_of, functionals=functionals, channel=channel)
                row_bytes = 4 * _smile(functionals).num_features
                name = f"{functionals}, {channel}"
                _append_missing(file, row_bytes, [u.path for u in utterances], extract, name)
                file.seek(0)
                rows = np.frombuffer(file.read(), np.float32).reshape(len(utterances), -1)
                with atomic_write(path) as unfinished:
                    np.save(unfinished, rows)
            Path(file.name).unlink(missing_ok=True)
    table: NDArray[np.float32] = np.load(path)
    return table.astype(np.float64)


def _append_missing(
    file: BinaryIO,
    row_bytes: int,
    paths: Sequence[Path],
    extract: Callable[[Path], NDArray[np.float32]],
    name: str,
) -> None:
    """Appends the rows that the file lacks; an incomplete last row is extracted again."""
    done = file.seek(0, os.SEEK_END) // row_bytes
    file.truncate(done * row_bytes)
    for row in map_recordings(paths, extract, name, done):
        file.write(row.tobytes())
        file.flush()
