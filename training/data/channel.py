"""Applies to a recording what a telephone channel does to speech: codec, loss, noise, band."""

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

Codec = Literal["linear", "mulaw", "alaw"]

BURST_PACKETS = 2.0  # mean length of a run of lost packets: losses come together
MOST_LOSS = 0.5
ACTIVE_DB = 20.0  # packets at most so much below the loudest one are active speech

# Long-term average speech spectrum (Byrne et al. 1994, table II) in third-octave bands.
_SPEECH_HZ = 1000 * 10 ** (np.arange(-12, 7) / 10)  # 63 to 4000
_SPEECH_DB = (39, 44, 54, 58, 57, 60, 60, 59, 62, 62, 60, 57, 54, 53, 52, 49, 48, 47, 46)


class ChannelError(ValueError):
    """A channel is impossible; the message states what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What happens to speech between the speaker and the service.

    The effects are applied in this order: speed of speaking, noise in the room, gain and band of
    the telephone, codec, packet loss. Random numbers are seeded by the channel and the recording,
    so that the same recording in the same channel gives the same samples.

    Raises:
        ChannelError: a value is impossible.
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
        """Names the effects: `speed 0.9, codec mulaw`, or `clean`."""
        values = [(f.name, getattr(self, f.name)) for f in fields(self)]
        changes = [f"{name} {value}" for name, value in values if value != getattr(CLEAN, name)]
        return ", ".join(changes) or "clean"

    def apply(self, pcm: Pcm) -> Pcm:
        """Returns the recording, int16 (n,) at 8 kHz, as received: int16 (n / speed,)."""
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
    """Returns the RMS of the samples (n,) without pauses, in the units of the samples."""
    packets = np.split(wave, range(FRAME_SAMPLES, len(wave), FRAME_SAMPLES))
    power = np.array([np.mean(packet**2) if len(packet) else 0.0 for packet in packets])
    return float(np.sqrt(power[power >= power.max() * 10 ** (-ACTIVE_DB / 10)].mean()))


def speech_noise(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns stationary noise (n,) of RMS 1 with the long-term spectrum of speech."""
    hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    density_db = _SPEECH_DB - 10 * np.log10(_SPEECH_HZ)  # bandwidth grows with the frequency
    shape = 10 ** (np.interp(np.log(np.maximum(hz, 1.0)), np.log(_SPEECH_HZ), density_db) / 20)
    shape[hz < _SPEECH_HZ[0]] = 0.0
    noise: NDArray[np.float64] = np.fft.irfft(
        np.fft.rfft(rng.normal(size=samples)) * shape, samples
    )
    return noise / max(float(np.sqrt(np.mean(noise**2))), np.finfo(float).tiny)


def lost_packets(packets: int, loss: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draws which packets (n,) are lost: a share `loss`, in runs (Gilbert 1960).

    A run has BURST_PACKETS packets on average.
    """
    continues = 1 - 1 / BURST_PACKETS
    begins = loss / (1 - loss) / BURST_PACKETS
    drawn = rng.random(packets)
    lost = np.zeros(packets, np.bool_)
    chance = loss
    for packet in range(packets):
        lost[packet] = drawn[packet] < chance
        chance = continues if lost[packet] else begins
    return lost


CLEAN = Channel()
TELEPHONE = Channel(codec="mulaw")
# The shipped model is trained in all of these, so that codec, gain and speed do not affect it.
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

# The channels in which a system is tested, by name; saved predictions refer to these names.
CONDITIONS: Mapping[str, Channel] = {
    "clean": CLEAN,
    "mulaw": TELEPHONE,
    "alaw": Channel(codec="alaw"),
    "loss5": Channel(codec="mulaw", loss=0.05),
    "loss10": Channel(codec="mulaw", loss=0.10),
    "noise10": Channel(codec="mulaw", noise_db=10.0),
}
