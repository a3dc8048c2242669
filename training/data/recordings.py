"""Reads recordings, finds the speech in them and maps functions over many of them."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from model.audio import Pcm
from model.containers import BadRecording
from model.features import FeatureSpec, Frames, log_mel
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, speech_spans
from model.recording import decode_all
from training.data.channel import Channel
from training.progress import track

T = TypeVar("T")

# The gate of systems that are only compared on recordings. The settings that make the service's
# gate robust against codecs are off.
PLAIN_GATE = GateSpec(grid_s=HOP_S, noise_rms=0.0)


class RecordingError(ValueError):
    """A recording can't be read or holds nothing; the message states which and why."""


def read_recording(path: Path) -> Pcm:
    """Returns a mono recording as int16 (n,) at 8 kHz.

    Raises:
        RecordingError: the file is unreadable, empty or not mono.
    """
    try:
        with path.open("rb") as file:
            pcm = decode_all(file)
    except (OSError, BadRecording) as error:
        raise RecordingError(f"{path}: {error}") from error
    if pcm.shape[1] != 1:
        raise RecordingError(f"{path}: shape {pcm.shape}, expected one channel")
    voice: Pcm = pcm[:, 0]
    return voice


def speech(path: Path, channel: Channel, gate: GateSpec) -> Pcm:
    """Returns a recording (n,) in a channel from the first to the last speech, in whole hops.

    If the gate finds no speech, everything is returned: an annotator labelled the recording.

    Raises:
        RecordingError: the recording is unreadable or shorter than two hops.
    """
    pcm = channel.apply(read_recording(path))
    pcm = pcm[: len(pcm) // HOP_SAMPLES * HOP_SAMPLES]
    if len(pcm) < 2 * HOP_SAMPLES:
        raise RecordingError(f"{path}: {len(pcm)} samples, expected {2 * HOP_SAMPLES} or more")
    spans = speech_spans(pcm, gate)
    if spans and spans[-1][1] - spans[0][0] >= 2:
        pcm = pcm[spans[0][0] * HOP_SAMPLES : spans[-1][1] * HOP_SAMPLES]
    return pcm


def speech_frames(path: Path, channel: Channel, spec: FeatureSpec, gate: GateSpec) -> Frames:
    """Returns the frames (T, n_features) from the first to the last speech of a recording.

    If the gate finds no speech, all frames are returned: an annotator labelled the recording.

    Raises:
        RecordingError: the recording is unreadable or shorter than a frame.
    """
    pcm = channel.apply(read_recording(path))
    frames = log_mel(pcm, spec)
    if not len(frames):
        raise RecordingError(f"{path}: {len(pcm)} samples, expected {spec.frame_samples} or more")
    spans = speech_spans(pcm, gate)
    return frames[spans[0][0] : spans[-1][1]] if spans else frames


def map_recordings(
    paths: Sequence[Path], function: Callable[[Path], T], name: str, done: int = 0
) -> Iterator[T]:
    """Yields the function's result for each path but the first `done`, in order, on all cores.

    `name` is the title of the progress bar.
    """
    pool = ProcessPoolExecutor()
    try:
        results = pool.map(function, paths[done:], chunksize=8)
        yield from track(results, name, len(paths), done)
    finally:
        pool.shutdown(cancel_futures=True)  # otherwise Ctrl-C waits for all remaining paths
