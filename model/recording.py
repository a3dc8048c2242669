"""Reads audio files of any kind, block by block, to int16 at 8 kHz.

Uploads, commands and corpora are all read here.

At most BLOCK_FRAMES are held undecoded; what is kept is 16 kB a second and channel. A recording
is read whole or refused with what is wrong.
"""

from typing import BinaryIO, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from model.audio import Pcm, Resampler, quantised
from model.containers import BadRecording, Part, PartFile, parts
from model.interrupts import KeptInterrupts

RATES = (8_000, 48_000)  # Hz
BLOCK_FRAMES = 16_384
MAX_S = 4 * 3600.0  # longest recording that is read where nothing else is said
PEAK_MAX = 8.0  # of float samples; lower peaks are clipped, higher ones are in another scale
CANCELLED = 1e-3  # of the channels' energy left in their mean: they are in opposite phase

AudioChannel = Literal["0", "1", "mix"]


class EmptyRecording(BadRecording):
    """A recording holds no bytes or no samples."""


class RecordingTooLong(BadRecording):
    """A recording lasts longer than the limit."""


def decode(
    file: BinaryIO, channel: AudioChannel | None = None, max_s: float = MAX_S, caller: int = 0
) -> Pcm:
    """Decodes a file of any format that libsndfile reads to int16 (n,) at 8 kHz.

    Args:
        channel: which channel of a stereo recording, or the mean of both; None: the caller's, and
            a mono recording as it is.
        max_s: longest recording that is accepted, in seconds.
        caller: the channel of a stereo recording that holds the caller.

    Raises:
        EmptyRecording: it holds no bytes, or no samples.
        RecordingTooLong: it lasts longer than `max_s`.
        BadRecording: it is not audio, not 8 to 48 kHz, not mono or stereo, or has no such channel;
            it is cut off; its samples are not finite, far beyond -1 to 1, or cancel in the mean.
    """
    return _Reader(channel or ("0", "1")[caller], max_s, RATES, channel is None).read(file)[:, 0]


def decode_all(
    file: BinaryIO,
    max_s: float = MAX_S,
    rates: tuple[int, int] = (1_000, 384_000),
) -> Pcm:
    """Decodes all channels, one or two, to int16 (n, channels) at 8 kHz; raises as `decode`."""
    return _Reader(None, max_s, rates, True).read(file)


class _Reader:
    """Reads the parts of one file after each other."""

    def __init__(
        self,
        channel: AudioChannel | None,
        max_s: float,
        rates: tuple[int, int],
        takes_mono: bool,
    ) -> None:
        """Reads one channel, or all (None); `takes_mono`: the only one, whatever its number."""
        self._takes_mono = takes_mono
        self._channel = channel
        self._max_s = max_s
        self._rates = rates
        self._read_s = 0.0
        self._channels = 0  # of the first part
        self._energy = [0.0, 0.0]  # of the channels, of their mean

    def read(self, file: BinaryIO) -> Pcm:
        """Returns the samples (n, tracks)."""
        file.seek(0)
        if not file.read(1):
            raise EmptyRecording("0 bytes", "a recording")
        pieces: list[Pcm] = []
        for part in parts(file):
            try:
                self._read_part(file, part, pieces)
            except soundfile.LibsndfileError as error:
                raise BadRecording(
                    f"unreadable audio ({error.error_string})", "WAV, FLAC, OGG, MP3 or the like"
                ) from error
        if not self._read_s:
            raise EmptyRecording("0 samples", "a recording")
        each, mean = self._energy
        if self._channel == "mix" and mean < CANCELLED * each:
            raise BadRecording("two channels that cancel each other", "channel 0 or 1, not mix")
        return np.concatenate(pieces)

    def _read_part(self, file: BinaryIO, part: Part, pieces: list[Pcm]) -> None:
        with KeptInterrupts() as interrupts, soundfile.SoundFile(PartFile(file, part)) as sound:
            rate = sound.samplerate
            self._check(rate, sound.channels)
            tracks = sound.channels if self._channel is None else 1
            resamplers = [Resampler(rate) for _ in range(tracks)]
            left = int((self._max_s - self._read_s) * rate) + 1
            frames = 0
            while left > 0:
                interrupts.deliver()
                block = sound.read(min(BLOCK_FRAMES, left), dtype="float32", always_2d=True)
                left -= len(block)
                frames += len(block)
                voices = quantised(self._voices(block))
                last = not len(block)
                fed = [
                    resampler.feed(voices[:, i], last=last)
                    for i, resampler in enumerate(resamplers)
                ]
                pieces.append(np.stack(fed, axis=1))
                if last:
                    break
            self._read_s += frames / rate
            if self._read_s > self._max_s:
                raise RecordingTooLong(
                    f"more than {self._max_s:g} s of audio", f"at most {self._max_s:g} s"
                )
            # The length of some kinds is only estimated: a little less is not cut off.
            if frames < 0.98 * sound.frames - 0.1 * rate and sound.frames < 2**62:
                raise BadRecording(
                    f"{frames} of {sound.frames} samples", "a file that is not cut off"
                )

    def _check(self, rate: int, channels: int) -> None:
        low, high = self._rates
        if not low <= rate <= high:
            raise BadRecording(f"{rate} Hz", f"{low} to {high} Hz")
        if channels > 2:
            raise BadRecording(f"{channels} channels", "1 or 2")
        if self._channels and channels != self._channels:
            raise BadRecording(
                f"joined recordings of {self._channels} and {channels} channels", "as many in each"
            )
        self._channels = channels
        if self._channel == "1" and channels == 1 and not self._takes_mono:
            raise BadRecording("channel 1 of 1", "one that is there")

    def _voices(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the wanted tracks (n, tracks) of a block (n, channels)."""
        if not np.isfinite(block).all():
            raise BadRecording("samples that are not finite", "numbers from -1 to 1")
        if len(block) and (peak := float(np.abs(block).max())) > PEAK_MAX:
            raise BadRecording(f"samples up to {peak:g}", "numbers from -1 to 1")
        if self._channel is None:
            return block
        if self._channel != "mix":
            track = min(int(self._channel), self._channels - 1)
            return block[:, track : track + 1]
        mean: NDArray[np.float32] = block.mean(axis=1, keepdims=True)
        self._energy[0] += float(np.square(block).sum()) / self._channels
        self._energy[1] += float(np.square(mean).sum())
        return mean
