"""Log mel-filterbank energies of telephone audio: the same bits for a recording and a stream.

The filter bank is that of `python_speech_features` (paper section 4.1). Its `logfbank` itself
cannot be used on a stream: it restarts pre-emphasis at every call, pads the last frame and rebuilds
its filter bank each time.

A spec may ask for more than the paper has: beside its energies, each frame then has its
autocorrelation at the lags of a voice's pitch, which the mel bands blur.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from python_speech_features import get_filterbanks

from model.audio import SAMPLE_RATE, Pcm

Frames = NDArray[np.float32]  # (T, n_features)

PITCH_HZ = (70.0, 450.0)  # lowest and highest pitch of a voice
PITCH_SCALE = 6.0  # of the autocorrelations, which then vary about as much as log energies
HUM_BINS = 3  # of the spectrum, below 47 Hz: mains and offset are no pitch


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """How frames are computed. It is saved in every artifact, where its field names are fixed."""

    sample_rate: int = SAMPLE_RATE
    frame_samples: int = 200  # 25 ms, rectangular window as in the library
    hop_samples: int = 80  # 10 ms
    preemphasis: float = 0.97
    n_fft: int = 512
    n_mels: int = 40
    pitch_lags: int = 0  # number of lags of a frame's autocorrelation; the paper has none
    # Added to the autocorrelation at lag 0. G.711's own quantisation noise has about so much there;
    # without this, what a codec leaves of silence would have the autocorrelation of a voice.
    pitch_floor: float = 3e4
    low_hz: float = 0.0
    high_hz: float = 4000.0
    # Least log energy of a band. Digital silence would give -36; 3.0 is about the energy of G.711's
    # own quantisation noise in a band, so a telephone carries nothing below it.
    log_floor: float = 3.0
    # A band also has at least the energy of white noise that is so many dB below the frame itself.
    # G.711 rounds to about 38 dB, and what lies near that differs between codecs. None: no such
    # noise, as in the paper.
    masking_db: float | None = None
    window_frames: int = 748  # longest window: 7.5 s
    normalisation: Literal["utterance"] = "utterance"  # see `normalise`
    functionals: bool = False  # whether the network is given those too (`model.speaker_baseline`)

    @property
    def n_features(self) -> int:
        """Numbers per frame: energies first, then autocorrelations."""
        return self.n_mels + self.pitch_lags

    @property
    def hop_s(self) -> float:
        return self.hop_samples / self.sample_rate

    def frames_in(self, samples: int) -> int:
        """Returns the number of full frames in so many samples."""
        return max(0, 1 + (samples - self.frame_samples) // self.hop_samples)


@cache
def _filters(spec: FeatureSpec) -> NDArray[np.float32]:
    """Returns the filter bank (n_fft / 2 + 1, n_mels).

    It is scaled so that a squared spectrum gives the library's energies.
    """
    bank = get_filterbanks(spec.n_mels, spec.n_fft, spec.sample_rate, spec.low_hz, spec.high_hz)
    filters: NDArray[np.float32] = np.ascontiguousarray(bank.T / spec.n_fft, np.float32)
    return filters


@cache
def _masking(spec: FeatureSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns two factors of the masking noise.

    The first, (n_fft / 2 + 1,), takes a power spectrum to the frame's power before pre-emphasis and
    without hum. The second, (n_mels,), takes that power to the energy in each band of white noise
    that is `masking_db` below it.
    """
    assert spec.masking_db is not None
    radians = 2 * np.pi * np.arange(spec.n_fft // 2 + 1) / spec.n_fft
    emphasis = np.abs(1 - spec.preemphasis * np.exp(-1j * radians)) ** 2
    undone = np.where(np.arange(len(radians)) < HUM_BINS, 0, 1 / emphasis)
    noise = (emphasis / len(emphasis)) @ _filters(spec) * 10 ** (-spec.masking_db / 10)
    return undone.astype(np.float32), noise.astype(np.float32)


@cache
def pitch_lags_of(spec: FeatureSpec) -> NDArray[np.int64]:
    """Returns lags (pitch_lags,) in samples, from the highest pitch to the lowest.

    Their pitches are evenly spaced in octaves.
    """
    lowest, highest = PITCH_HZ
    return np.rint(spec.sample_rate / np.geomspace(highest, lowest, spec.pitch_lags)).astype(
        np.int64
    )


@cache
def _cosines(spec: FeatureSpec) -> NDArray[np.float32]:
    """Returns the matrix (n_fft / 2 + 1, 1 + pitch_lags) from spectrum to autocorrelation.

    The first column is lag 0.
    """
    bins = np.arange(spec.n_fft // 2 + 1)
    lags = np.concatenate(([0], pitch_lags_of(spec)))
    matrix = np.cos(2 * np.pi * np.outer(bins, lags) / spec.n_fft)
    matrix[1:-1] *= 2  # the negative frequencies
    matrix[:HUM_BINS] = 0
    cosines: NDArray[np.float32] = np.ascontiguousarray(matrix, np.float32)
    return cosines


@cache
def _hann(samples: int) -> NDArray[np.float32]:
    window: NDArray[np.float32] = np.hanning(samples).astype(np.float32)
    return window


def _framed(samples: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float32]:
    """Returns a view (T, frame_samples) of every full frame."""
    step = samples.itemsize
    return np.ndarray(
        (spec.frames_in(len(samples)), spec.frame_samples),
        np.float32,
        samples,
        strides=(spec.hop_samples * step, step),
    )


def _power(framed: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float32]:
    spectrum = np.fft.rfft(framed, spec.n_fft)
    power = spectrum.real**2 + spectrum.imag**2  # in single precision, as the samples
    return cast(NDArray[np.float32], power)


# Both functions below take one vector-matrix product a frame: a matrix product rounds differently
# for another number of frames, and a stream would no longer give the same bits as the whole.


def _energies(emphasised: NDArray[np.float32], spec: FeatureSpec) -> Frames:
    """Returns log band energies (T, n_mels) of every full frame of pre-emphasised samples."""
    power = _power(_framed(emphasised, spec), spec)
    bands = (power[:, None, :] @ _filters(spec))[:, 0, :]
    if spec.masking_db is not None:
        undone, noise = _masking(spec)
        bands = np.maximum(bands, (power[:, None, :] @ undone) * noise)
    floored: Frames = np.log(np.maximum(bands, np.float32(np.exp(spec.log_floor))))
    return floored


def _autocorrelations(levels: NDArray[np.float32], spec: FeatureSpec) -> Frames:
    """Returns autocorrelations (T, pitch_lags) of every full frame of samples without pre-emphasis.

    They are 0 to about PITCH_SCALE, and of the magnitude spectrum instead of the power, which
    separates the pitch better from the formants.
    """
    magnitude = np.sqrt(_power(_framed(levels, spec) * _hann(spec.frame_samples), spec))
    at_lags = (magnitude[:, None, :] @ _cosines(spec))[:, 0, :]
    relative = at_lags[:, 1:] / (at_lags[:, :1] + np.float32(spec.pitch_floor))
    return cast(Frames, relative * np.float32(PITCH_SCALE))


class LogMelStream:
    """Turns one track's samples into frames, bit for bit as `log_mel`, whatever their chunks.

    Frames are computed in blocks, because ten cost hardly more than two.
    """

    BLOCK_FRAMES = 10  # 0.1 s: the longest delay of a frame

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._pieces: list[Pcm] = []  # fed, not emphasised yet
        self._samples = 0  # in those pieces
        self._last = np.zeros(1, np.int16)  # the sample before: pre-emphasis crosses pieces
        self._overlap = np.zeros(0, np.float32)  # emphasised samples that later frames need again
        self._plain_overlap = np.zeros(0, np.float32)  # the same samples without pre-emphasis

    def feed(self, pcm: Pcm) -> Frames:
        """Takes samples (n,), int16 at 8 kHz; returns the frames (t, n_features) of full blocks.

        Raises:
            TypeError: the samples are of another type or shape.
        """
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise TypeError(f"log-mel: got {pcm.dtype} samples {pcm.shape}, expected int16 (n,)")
        self._pieces.append(pcm)
        self._samples += len(pcm)
        if self._spec.frames_in(len(self._overlap) + self._samples) < self.BLOCK_FRAMES:
            return np.zeros((0, self._spec.n_features), np.float32)
        return self.flush()

    def flush(self) -> Frames:
        """Returns every frame (t, n_features) that is complete, whether or not it fills a block."""
        samples = np.concatenate((self._last, *self._pieces))
        self._pieces, self._samples, self._last = [], 0, samples[-1:]
        levels = samples.astype(np.float32)
        emphasised = levels[1:] - np.float32(self._spec.preemphasis) * levels[:-1]
        emphasised = np.concatenate((self._overlap, emphasised))
        frames = _energies(emphasised, self._spec)
        used = len(frames) * self._spec.hop_samples
        self._overlap = emphasised[used:]
        if self._spec.pitch_lags:
            plain = np.concatenate((self._plain_overlap, levels[1:]))
            frames = np.concatenate((frames, _autocorrelations(plain, self._spec)), axis=1)
            self._plain_overlap = plain[used:]
        return frames


def log_mel(pcm: Pcm, spec: FeatureSpec) -> Frames:
    """Returns all full frames (T, n_features) of a recording, int16 (n,) at 8 kHz."""
    stream = LogMelStream(spec)
    return np.concatenate((stream.feed(pcm), stream.flush()))


def normalise(frames: Frames, spec: FeatureSpec) -> Frames:
    """Returns a window (T, n_features) as the network is given it, less its mean over time.

    That removes the level and colour of the telephone line, so that the network cannot infer an
    emotion from either.
    """
    assert spec.normalisation == "utterance", spec.normalisation
    centred: Frames = frames - frames.mean(axis=0, keepdims=True)
    return centred
