"""The speech gate: finds stretches of speech in a stream. Live calls and training share it.

It is built on WebRTC's voice activity detector. On the event loop, for hundreds of calls, the whole
gate costs a quarter of Silero's model, needs no second inference runtime, and keeps as much of
recorded speech. What Silero's model rejects and WebRTC's detector accepts are steady noise and the
tones of the telephone network. Their level does not change from moment to moment as a voice's does,
so the gate rejects them for that. Melodies, and keypad tones dialled in quick succession, still
pass, and are rejected a window at a time (`model/speech_check.py`).
`python -m tests.benchmarks gate` measures all of this.
"""

import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from model.audio import SAMPLE_RATE, Pcm

HOP_SAMPLES = 80  # 10 ms: the step of the log-mel frames, and the detector's shortest input
HOP_S = HOP_SAMPLES / SAMPLE_RATE

# The level is measured over three hops, because over two it would show the 40 Hz beat of an
# American ringback tone; the movement is its difference from two hops before.
_LEVEL_HOPS = 3
_FULL_SCALE = _LEVEL_HOPS * HOP_SAMPLES * 32768.0**2
_QUIET = 1e-7  # of full scale's power: below -70 dBFS the level counts as constant
_NOISE_HOPS = 1000  # ten seconds
_CAP_DB = 2.5  # a single jump, such as a click or the start of a tone, is not a voice


@dataclass(frozen=True, slots=True)
class GateSpec:
    """What counts as speech.

    It is saved in every artifact, where its field names are fixed: a call passes the gate that the
    training of its model passed.

    Raises:
        ValueError: a value is out of its range.
    """

    # Mode of WebRTC's detector, from 0, which accepts most, to 3, which loses quiet voices.
    aggressiveness: int = 2
    # Least mean movement of the level within 20 ms for a voice (0: any sound may be one), and the
    # time constant of that mean.
    lively_db: float = 0.65
    lively_s: float = 0.2
    open_s: float = 0.1  # uninterrupted voice that opens the gate or keeps it open
    lead_s: float = 0.3  # the stretch of speech begins so long before the gate opens
    # Stretches begin on multiples of this, so that the window is mostly the same where another
    # codec opens the gate a hop earlier. Eight hops, because the network halves the frame rate
    # three times.
    grid_s: float = 0.08
    close_s: float = 0.6  # a pause this long ends the stretch
    # RMS of the noise, about that of a quiet line, that is added to the samples. Without it, the
    # detector reacts to what a codec leaves of a pause, and stretches differ between codecs.
    noise_rms: float = 16.0

    def __post_init__(self) -> None:
        for name, number in asdict(self).items():
            if not (isinstance(number, int | float) and 0 <= number < math.inf):
                raise ValueError(f"gate: {name} is {number!r}, expected a number from 0 on")
        if self.aggressiveness not in (0, 1, 2, 3):
            raise ValueError(
                f"gate: aggressiveness is {self.aggressiveness!r}, expected 0, 1, 2 or 3"
            )
        for name in ("lively_s", "open_s", "close_s", "grid_s"):
            if getattr(self, name) < HOP_S:
                raise ValueError(
                    f"gate: {name} is {getattr(self, name)!r}, expected at least {HOP_S}"
                )
        if self.lead_s < self.open_s:
            raise ValueError(
                f"gate: lead_s is {self.lead_s!r}, expected at least open_s, {self.open_s!r}"
            )


class Stretch(NamedTuple):
    """One stretch of speech, short pauses included: the hops in [start, end).

    Hop j is the samples in [80 j, 80 (j + 1)). A log-mel frame covers two and a half hops, so the
    frames wholly inside are those in [start, end - 2).
    """

    start: int
    end: int


@cache
def _line_noise(rms: float) -> NDArray[np.int32]:
    """Returns noise (_NOISE_HOPS, HOP_SAMPLES), the same for every call, which repeats it."""
    noise = np.random.default_rng(0).normal(0, rms, (_NOISE_HOPS, HOP_SAMPLES))
    return np.rint(noise).astype(np.int32)


class SpeechGate:
    """Finds, for every hop of one speaker's samples, the stretch of speech at that hop.

    Results are immediate: a stretch is returned from the hop at which its voice is certain, with a
    `start` that is `lead_s` earlier. In a pause it stays the same, with its `end` at the last
    voiced hop, until the pause has lasted `close_s`.
    """

    def __init__(self, spec: GateSpec) -> None:
        self._lively_db = spec.lively_db
        self._weight = min(1.0, HOP_S / spec.lively_s)
        self._open_hops = round(spec.open_s / HOP_S)
        self._lead_hops = round(spec.lead_s / HOP_S)
        self._close_hops = round(spec.close_s / HOP_S)
        self._grid_hops = round(spec.grid_s / HOP_S)
        self._noise = _line_noise(spec.noise_rms)
        self._has_voice = webrtcvad.Vad(int(spec.aggressiveness)).is_speech
        self._rest = np.zeros(0, np.int16)  # less than a hop
        self._energies = (0.0, 0.0)  # of the two hops before
        self._levels_db = (10 * math.log10(_QUIET),) * 2  # after each of them
        self._movement_db = 0.0
        self._voiced_hops = 0  # without interruption
        self._hops = 0
        self._end = 0  # where the latest stretch ends
        self._stretch: Stretch | None = None

    def feed(self, pcm: Pcm) -> list[Stretch | None]:
        """Takes the next samples (n,); returns the stretch at each hop that they complete.

        None is no speech. The result does not depend on how the samples are cut into pieces.

        Raises:
            TypeError: the samples are not int16 (n,); the state stays as it was.
        """
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise TypeError(f"gate: got {pcm.dtype} samples {pcm.shape}, expected int16 (n,)")
        if len(self._rest):
            pcm = np.concatenate((self._rest, pcm))
        count = len(pcm) // HOP_SAMPLES
        self._rest = pcm[count * HOP_SAMPLES :].copy()
        hops = pcm[: count * HOP_SAMPLES].reshape(count, HOP_SAMPLES)
        noise = self._noise.take(range(self._hops, self._hops + count), axis=0, mode="wrap")
        hops = np.minimum(np.maximum(hops + noise, -32_768), 32_767).astype(np.int16)
        samples = hops.astype(np.float64)  # sums of squared int16 are exact in it, in any order
        energies: list[float] = np.vecdot(samples, samples).tolist()
        return [
            self._step(self._has_voice(hop.tobytes(), SAMPLE_RATE), energy)
            for hop, energy in zip(hops, energies, strict=True)
        ]

    def _step(self, has_voice: bool, energy: float) -> Stretch | None:
        self._hops += 1
        older, old = self._energies
        self._energies = old, energy
        level_db = 10 * math.log10((older + old + energy) / _FULL_SCALE + _QUIET)
        before_db, last_db = self._levels_db
        self._levels_db = last_db, level_db
        change_db = min(abs(level_db - before_db), _CAP_DB)
        self._movement_db += self._weight * (change_db - self._movement_db)

        voiced = has_voice and self._movement_db >= self._lively_db
        self._voiced_hops = self._voiced_hops + 1 if voiced else 0
        if self._voiced_hops >= self._open_hops:
            lead_start = self._hops - self._lead_hops
            opened = max(self._end, lead_start - lead_start % self._grid_hops)
            start = self._stretch.start if self._stretch else opened
            self._end = self._hops
            self._stretch = Stretch(start, self._end)
        elif self._stretch and self._hops - self._end >= self._close_hops:
            self._stretch = None
        return self._stretch


def speech_spans(pcm: Pcm, spec: GateSpec) -> list[Stretch]:
    """Returns the stretches of speech in a whole recording, int16 (n,) at 8 kHz."""
    latest = {stretch.start: stretch for stretch in SpeechGate(spec).feed(pcm) if stretch}
    return list(latest.values())
