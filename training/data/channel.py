"""How a recording comes over the line, and which part of it is heard."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from model.audio import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    Pcm,
    alaw_decode,
    alaw_encode,
    mulaw_decode,
    mulaw_encode,
)
from model.concealment import conceal_packets
from model.features import FeatureSpec, Frames

Codec = Literal["linear", "mulaw", "alaw"]

BURST_PACKETS = 2.0  # mean length of a run of lost packets: losses come together
MOST_LOSS = 0.5
ACTIVE_DB = 20.0  # packets within so much of the loudest one are active speech

# Long-term average speech spectrum (Byrne et al. 1994, table II) in third-octave bands.
_SPEECH_HZ = 1000 * 10 ** (np.arange(-12, 7) / 10)  # 63 to 4000
_SPEECH_DB = (39, 44, 54, 58, 57, 60, 60, 59, 62, 62, 60, 57, 54, 53, 52, 49, 48, 47, 46)


class ChannelError(ValueError):
    """There is no such line; the message says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One way a recording reaches the service.

    In the order in which it happens: the speaker is faster, there is noise in the room, the
    telephone has a gain and a band, the codec rounds, packets are lost. What is random is drawn
    from the line and the recording: the same recording over the same line is the same samples.

    Raises:
        LineError: a value is impossible.
    """

    speed: float = 1.0
    noise_db: float | None = None  # active speech over noise of a speech-like spectrum
    gain_db: float = 0.0
    band_hz: tuple[float, float] | None = None  # 300 to 3400 Hz on an analogue line
    codec: Codec = "linear"
    loss: float = 0.0  # share of the packets

    def __post_init__(self) -> None:
        low_hz, high_hz = self.band_hz or (1.0, SAMPLE_RATE / 2 - 1)
        for right, expected in (
            (self.speed > 0, "speed above 0"),
            (0 < low_hz < high_hz < SAMPLE_RATE / 2, "band_hz within 0 to 4000 Hz"),
            (self.codec in ("linear", "mulaw", "alaw"), "codec linear, mulaw or alaw"),
            (0 <= self.loss <= MOST_LOSS, f"loss from 0 to {MOST_LOSS}"),
        ):
            if not right:
                raise ChannelError(f"found {self!r}, expected {expected}")

    def __str__(self) -> str:
        """What it does to a recording: `speed 0.9, codec mulaw`."""
        done = [(f.name, getattr(self, f.name)) for f in fields(self)]
        changes = [f"{name} {value}" for name, value in done if value != getattr(CLEAN, name)]
        return ", ".join(changes) or "clean"

    def apply(self, pcm: Pcm) -> Pcm:
        """int16 (n,) at 8 kHz to int16 (n / speed,)."""
        seed = hashlib.sha256(self._seed_text().encode() + pcm.tobytes()).digest()
        rng = np.random.default_rng(np.frombuffer(seed, np.uint32))
        if self.speed != 1.0:
            pcm = soxr.resample(pcm, SAMPLE_RATE * self.speed, SAMPLE_RATE)
        if self.noise_db is not None or self.gain_db or self.band_hz:
            wave = pcm.astype(np.float64)
            if self.noise_db is not None:
                noise = speech_noise(len(wave), rng)
                wave += noise * active_level(wave) * 10 ** (-self.noise_db / 20)
            wave *= 10 ** (self.gain_db / 20)
            if self.band_hz:
                band = butter(4, self.band_hz, "bandpass", fs=SAMPLE_RATE, output="sos")
                wave = sosfilt(band, wave)
            pcm = np.rint(wave).clip(-32_768, 32_767).astype(np.int16)
        if self.codec == "mulaw":
            pcm = mulaw_decode(mulaw_encode(pcm))
        elif self.codec == "alaw":
            pcm = alaw_decode(alaw_encode(pcm))
        if self.loss:
            pcm = conceal_packets(pcm, lost_packets(-(-len(pcm) // FRAME_SAMPLES), self.loss, rng))
        return pcm

    def _seed_text(self) -> str:
        """Returns the text that seeds this channel's noise and losses."""
        # The shipped model was trained with the noise drawn from this text, and all results were
        # measured with it: every character of it stays, `Line` included.
        return (
            f"Line(speed={self.speed!r}, noise_db={self.noise_db!r}, gain_db={self.gain_db!r}, "
            f"band_hz={self.band_hz!r}, codec={self.codec!r}, loss={self.loss!r})"
        )


def active_level(wave: NDArray[np.float64]) -> float:
    """RMS of the speech itself, pauses left out, in the units of the samples (n,)."""
    packets = np.split(wave, range(FRAME_SAMPLES, len(wave), FRAME_SAMPLES))
    power = np.array([np.mean(packet**2) if len(packet) else 0.0 for packet in packets])
    return float(np.sqrt(power[power >= power.max() * 10 ** (-ACTIVE_DB / 10)].mean()))


def speech_noise(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Steady noise (n,) of RMS 1 that has the spectrum of many voices."""
    hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    density_db = _SPEECH_DB - 10 * np.log10(_SPEECH_HZ)  # a band is as wide as its frequency says
    shape = 10 ** (np.interp(np.log(np.maximum(hz, 1.0)), np.log(_SPEECH_HZ), density_db) / 20)
    shape[hz < _SPEECH_HZ[0]] = 0.0
    noise: NDArray[np.float64] = np.fft.irfft(
        np.fft.rfft(rng.normal(size=samples)) * shape, samples
    )
    return noise / max(float(np.sqrt(np.mean(noise**2))), np.finfo(float).tiny)


def lost_packets(packets: int, loss: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of them are lost: a share `loss`, in runs of BURST_PACKETS (Gilbert 1960)."""
    goes_on = 1 - 1 / BURST_PACKETS
    begins = loss / (1 - loss) / BURST_PACKETS
    drawn = rng.random(packets)
    lost = np.zeros(packets, np.bool_)
    chance = loss
    for packet in range(packets):
        lost[packet] = drawn[packet] < chance
        chance = goes_on if lost[packet] else begins
    return lost


CLEAN = Channel()
TELEPHONE = Channel(codec="mulaw")
# What the shipped model is trained on: no codec, gain or speed shall tell it anything.
TRAINING_CHANNELS = (
    CLEAN,
    TELEPHONE,
    Channel(speed=0.9, codec="mulaw"),
    Channel(speed=1.1, codec="mulaw"),
    Channel(codec="mulaw", noise_db=15.0),
    Channel(codec="mulaw", loss=0.05),
    Channel(codec="alaw", band_hz=(300.0, 3400.0)),
    Channel(codec="alaw", gain_db=-12.0),
)

# What a system is tested under, by name.
CONDITIONS: Mapping[str, Channel] = {
    "clean": CLEAN,
    "mulaw": TELEPHONE,
    "alaw": Channel(codec="alaw"),
    "loss5": Channel(codec="mulaw", loss=0.05),
    "loss10": Channel(codec="mulaw", loss=0.10),
    "noise10": Channel(codec="mulaw", noise_db=10.0),
}


@dataclass(frozen=True, slots=True)
class MaskSpec:
    """SpecAugment (Park et al. 2019) on normalised frames: how much is put to zero, the mean."""

    bands: int = 2  # masks over mel bands
    band_width: int = 6  # at most so many bands each
    times: int = 2  # masks over time
    time_share: float = 0.1  # at most this share of the window each


NO_MASKS = MaskSpec(bands=0, times=0)


def cuts(
    frames: int, longest: int, least: int, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(1 + count, 2) first and last frames: the whole, at most the longest, then random parts."""
    whole = min(frames, longest)
    spans = [(0, whole)]
    for _ in range(count):
        length = int(rng.integers(min(least, whole), whole + 1))
        start = int(rng.integers(frames - length + 1))
        spans.append((start, start + length))
    return np.array(spans)


def mask(frames: Frames, spec: FeatureSpec, masks: MaskSpec, rng: np.random.Generator) -> Frames:
    """Normalised frames (T, channels) with some bands and some moments put to their mean."""
    frames = frames.copy()
    count = len(frames)
    for _ in range(masks.bands):
        width = int(rng.integers(masks.band_width + 1))
        low = int(rng.integers(spec.n_mels - width + 1))
        frames[:, low : low + width] = 0.0
    for _ in range(masks.times):
        width = int(rng.integers(int(count * masks.time_share) + 1))
        start = int(rng.integers(count - width + 1))
        frames[start : start + width] = 0.0
    return frames
