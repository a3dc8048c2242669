"""Log mel-filterbank energies of telephone audio: of a recording or of a stream, the same numbers.

The filter bank is that of `python_speech_features` (paper section 4.1). Its `logfbank` itself can't
be used on a stream: it restarts pre-emphasis at every call, pads the last frame and rebuilds its
filter bank each time.

A spec may ask for more than the paper has: beside its energies, each frame then has its
autocorrelation at the lags between which a voice's pitch lies, which the mel bands blur.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from python_speech_features import get_filterbanks

from model.audio import SAMPLE_RATE, Pcm

Frames = NDArray[np.float32]  # (T, channels)

PITCH_HZ = (70.0, 450.0)  # between which voices lie
PITCH_SCALE = 6.0  # of the autocorrelations: about as lively as log energies then
HUM_BINS = 3  # of the spectrum, below 47 Hz: mains and offset are no pitch


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What a frame is. Saved in every artifact and compared when one is loaded."""

    sample_rate: int = SAMPLE_RATE
    frame_samples: int = 200  # 25 ms, rectangular window as in the library
    hop_samples: int = 80  # 10 ms
    preemphasis: float = 0.97
    n_fft: int = 512
    n_mels: int = 40
    pitch_lags: int = 0  # at which a frame's autocorrelation is taken; the paper has none
    # Added to the autocorrelation at lag 0. G.711's own quantisation noise has about so much there,
    # and without this what a codec leaves of silence would sound like a voice.
    pitch_floor: float = 3e4
    low_hz: float = 0.0
    high_hz: float = 4000.0
    # Least log energy of a band. Digital silence would give -36; 3.0 is about what G.711's own
    # quantisation noise puts into a band, so below it a telephone carries nothing.
    log_floor: float = 3.0
    # A band also has at least what white noise, so many dB below the frame itself, would put into
    # it. G.711 rounds to about 38 dB; what lies near that is another over every codec. None: no
    # such noise, as in the paper.
    masking_db: float | None = None
    window_frames: int = 748  # the network hears at most 7.5 s
    normalisation: Literal["utterance"] = "utterance"  # see `normalise`
    functionals: bool = False  # whether the network is told those too: see `model.speaker_baseline`

    @property
    def channels(self) -> int:
        """Numbers a frame: energies first, then autocorrelations."""
        return self.n_mels + self.pitch_lags

    @property
    def hop_s(self) -> float:
        return self.hop_samples / self.sample_rate

    def frames_in(self, samples: int) -> int:
        """How many full frames there are in so many samples."""
        return max(0, 1 + (samples - self.frame_samples) // self.hop_samples)


@cache
def _filters(spec: FeatureSpec) -> NDArray[np.float32]:
    """(n_fft / 2 + 1, n_mels), scaled so that a squared spectrum gives the library's energies."""
    bank = get_filterbanks(spec.n_mels, spec.n_fft, spec.sample_rate, spec.low_hz, spec.high_hz)
    filters: NDArray[np.float32] = np.ascontiguousarray(bank.T / spec.n_fft, np.float32)
    return filters


@cache
def _masking(spec: FeatureSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n_fft / 2 + 1,): a power spectrum to the frame's power, before pre-emphasis and without hum.

    And (n_mels,): that to what white noise `masking_db` below it puts into each band.
    """
    assert spec.masking_db is not None
    radians = 2 * np.pi * np.arange(spec.n_fft // 2 + 1) / spec.n_fft
    emphasis = np.abs(1 - spec.preemphasis * np.exp(-1j * radians)) ** 2
    undone = np.where(np.arange(len(radians)) < HUM_BINS, 0, 1 / emphasis)
    noise = (emphasis / len(emphasis)) @ _filters(spec) * 10 ** (-spec.masking_db / 10)
    return undone.astype(np.float32), noise.astype(np.float32)


@cache
def pitch_lags_of(spec: FeatureSpec) -> NDArray[np.int64]:
    """(pitch_lags,) in samples, from the highest pitch to the lowest, evenly by ear."""
    lowest, highest = PITCH_HZ
    return np.rint(spec.sample_rate / np.geomspace(highest, lowest, spec.pitch_lags)).astype(
        np.int64
    )


@cache
def _cosines(spec: FeatureSpec) -> NDArray[np.float32]:
    """(n_fft / 2 + 1, 1 + pitch_lags): a spectrum to its autocorrelation at lag 0 and at each."""
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
    """A view (T, frame_samples) of every full frame."""
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


# Both have one vector-matrix product a frame: a matrix product would round differently with the
# number of frames, and a stream would no longer give the same bits as the whole.


def _energies(emphasised: NDArray[np.float32], spec: FeatureSpec) -> Frames:
    """Log band energies (T, n_mels) of every full frame of pre-emphasised samples."""
    power = _power(_framed(emphasised, spec), spec)
    bands = (power[:, None, :] @ _filters(spec))[:, 0, :]
    if spec.masking_db is not None:
        undone, noise = _masking(spec)
        bands = np.maximum(bands, (power[:, None, :] @ undone) * noise)
    floored: Frames = np.log(np.maximum(bands, np.float32(np.exp(spec.log_floor))))
    return floored


def _autocorrelations(levels: NDArray[np.float32], spec: FeatureSpec) -> Frames:
    """(T, pitch_lags), 0 to about PITCH_SCALE, of every full frame of samples as they came.

    Of the magnitude, not the power: that tells the pitch better from the formants.
    """
    magnitude = np.sqrt(_power(_framed(levels, spec) * _hann(spec.frame_samples), spec))
    at_lags = (magnitude[:, None, :] @ _cosines(spec))[:, 0, :]
    relative = at_lags[:, 1:] / (at_lags[:, :1] + np.float32(spec.pitch_floor))
    return cast(Frames, relative * np.float32(PITCH_SCALE))


class LogMelStream:
    """One track's samples into frames as they come: in any chunks the bits that `log_mel` gives.

    Frames come in blocks, because ten cost hardly more than two.
    """

    BLOCK_FRAMES = 10  # 0.1 s: as late as the first frame of a block can be

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._pieces: list[Pcm] = []  # heard, not emphasised yet
        self._samples = 0  # how many those are
        self._last = np.zeros(1, np.int16)  # the sample before: pre-emphasis goes across pieces
        self._overlap = np.zeros(0, np.float32)  # emphasised samples that later frames need again
        self._plain_overlap = np.zeros(0, np.float32)  # the same samples as they came

    def feed(self, pcm: Pcm) -> Frames:
        """Samples (n,) int16 at 8 kHz in; the frames (t, channels) of blocks now complete out."""
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise TypeError(f"log-mel: got {pcm.dtype} samples {pcm.shape}, expected int16 (n,)")
        self._pieces.append(pcm)
        self._samples += len(pcm)
        if self._spec.frames_in(len(self._overlap) + self._samples) < self.BLOCK_FRAMES:
            return np.zeros((0, self._spec.channels), np.float32)
        return self.flush()

    def flush(self) -> Frames:
        """Every frame (t, channels) that is complete, whether it fills a block or not."""
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
    """All full frames (T, channels) of a recording, int16 (n,) at 8 kHz."""
    stream = LogMelStream(spec)
    return np.concatenate((stream.feed(pcm), stream.flush()))


def normalise(frames: Frames, spec: FeatureSpec) -> Frames:
    """What the network hears of a window (T, channels): `utterance` takes each one's mean away.

    That removes the line's level and colour, so that neither can tell the emotion.
    """
    assert spec.normalisation == "utterance", spec.normalisation
    centred: Frames = frames - frames.mean(axis=0, keepdims=True)
    return centred
