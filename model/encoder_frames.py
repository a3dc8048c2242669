"""Log-mel frames as Whisper's encoder expects them, of telephone audio without resampling.

Whisper takes 400 samples at 16 kHz, a spectrum of bins 40 Hz apart and 80 mel bands to 8 kHz. At
8 kHz, 200 samples have the same bins up to 4 kHz and half the amplitude; what lies above is
silent, and its bands have the floor.

A chunk is framed by itself, as Whisper frames a recording: mirrored at both ends, and its floor
relative to its own loudest band. Frames therefore depend on how speech is cut into chunks.

Against the same audio resampled to 16 kHz, bands below 3.6 kHz differ by at most 0.01, and by 0.1
in the two frames at either end, where a mirror at 16 kHz has samples between.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from model.audio import SAMPLE_RATE, Pcm
from model.features import Frames


@dataclass(frozen=True, slots=True)
class EncoderFrameSpec:
    """How the encoder's frames are computed. The defaults are Whisper's, at 8 kHz."""

    sample_rate: int = SAMPLE_RATE
    n_fft: int = 200  # 25 ms, periodic Hann window
    hop_samples: int = 80  # 10 ms
    n_mels: int = 80  # over the whole of `mel_high_hz`
    mel_high_hz: float = 8000.0  # of the bands, of which those above half the rate stay silent
    power_floor: float = 1e-10
    dynamic_range: float = 8.0  # decades below the chunk's loudest band
    # Power at 16 kHz against that at 8 kHz: twice as many samples give twice the amplitude.
    power_scale: float = 4.0

    def frames_in(self, samples: int) -> int:
        """Returns the number of frames of a chunk: one every hop, the last one dropped."""
        return samples // self.hop_samples

    @property
    def least_samples(self) -> int:
        """Samples of the shortest chunk that can be mirrored at its ends."""
        return self.n_fft // 2 + 1


def _mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns Slaney's mels: linear to 1 kHz (15 mels), logarithmic above."""
    above = 15 + 27 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4)
    mels: NDArray[np.float64] = np.where(hz < 1000.0, hz * 3 / 200, above)
    return mels


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = 1000.0 * np.exp(np.log(6.4) / 27 * (mel - 15))
    hz: NDArray[np.float64] = np.where(mel < 15, mel * 200 / 3, above)
    return hz


@cache
def mel_filters(spec: EncoderFrameSpec) -> NDArray[np.float32]:
    """Returns Slaney's triangles (n_fft / 2 + 1, n_mels), each of the same area."""
    bins = np.arange(spec.n_fft // 2 + 1) * (spec.sample_rate / spec.n_fft)
    top = _mel(np.array(spec.mel_high_hz))
    edges = _hz(np.linspace(0.0, float(top), spec.n_mels + 2))
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - low) / (centre - low)
    falling = (high - bins[:, None]) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * (2 / (high - low))
    filters: NDArray[np.float32] = triangles.astype(np.float32)
    return filters


@cache
def _window(spec: EncoderFrameSpec) -> NDArray[np.float32]:
    window: NDArray[np.float32] = np.hanning(spec.n_fft + 1)[:-1].astype(np.float32)
    return window


def encoder_frames(pcm: Pcm, spec: EncoderFrameSpec) -> Frames:
    """Returns the frames (T, n_mels) of one chunk, int16 (n,) at 8 kHz.

    Raises:
        TypeError: the samples are of another type or shape.
        ValueError: the chunk is too short to be mirrored at its ends.
    """
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise TypeError(f"encoder frames: got {pcm.dtype} samples {pcm.shape}, expected int16 (n,)")
    if len(pcm) < spec.least_samples:
        raise ValueError(
            f"encoder frames: got {len(pcm)} samples, expected {spec.least_samples} or more"
        )
    levels = np.pad(pcm.astype(np.float32) / np.float32(32768), spec.n_fft // 2, mode="reflect")
    framed = np.lib.stride_tricks.sliding_window_view(levels, spec.n_fft)[:: spec.hop_samples]
    spectrum = np.fft.rfft(framed[: spec.frames_in(len(pcm))] * _window(spec))
    power = np.float32(spec.power_scale) * (spectrum.real**2 + spectrum.imag**2)
    bands = np.log10(np.maximum(power @ mel_filters(spec), np.float32(spec.power_floor)))
    bands = np.maximum(bands, bands.max() - np.float32(spec.dynamic_range))
    frames: Frames = ((bands + 4) / 4).astype(np.float32)
    return frames
