"""Where somebody speaks, found as the samples come: one gate for live calls and for training.

WebRTC's voice activity detector sits on the event loop for hundreds of calls: the whole gate costs
a quarter of Silero's model, needs no second inference runtime, and keeps as much of recorded
speech. What Silero's refuses and WebRTC's lets through, steady noise and the tones of the telephone
network, doesn't change in level from moment to moment as a voice does, and is refused for that.
Melodies, and keypad tones dialled in quick succession, still pass.
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

HOP_SAMPLES = 80  # 10 ms: the step of the log-mel frames, and the least that the detector takes
HOP_S = HOP_SAMPLES / SAMPLE_RATE

# Level is that of the last three hops, because two would show the 40 Hz beat of an American
# ringback tone; movement is its difference to two hops before.
_LEVEL_HOPS = 3
_FULL_SCALE = _LEVEL_HOPS * HOP_SAMPLES * 32768.0**2
_QUIET = 1e-7  # of full scale's power: below -70 dBFS nothing moves
_NOISE_HOPS = 1000  # ten seconds
_CAP_DB = 2.5  # so that one jump, a click or where a tone begins or ends, isn't taken for a voice


@dataclass(frozen=True, slots=True)
class GateSpec:
    """What counts as speech. Saved with the model: calls pass the gate that its training passed."""

    # Of WebRTC's detector, from 0, which lets most through, to 3, which loses quiet voices.
    aggressiveness: int = 2
    # Mean movement of the level within 20 ms from which on it can be a voice (0: anything can), and
    # the time constant of that mean.
    lively_db: float = 0.65
    lively_s: float = 0.2
    open_s: float = 0.1  # uninterrupted voice that opens the gate, or keeps it open
    lead_s: float = 0.3  # how much before the moment of opening belongs to the stretch of speech
    # Stretches begin on multiples of this: where another codec opens the gate a hop sooner, the
    # window is mostly the same. Eight hops, because the network halves the frame rate three times.
    grid_s: float = 0.08
    close_s: float = 0.6  # a pause this long ends the stretch
    # RMS of the noise, about that of a quiet line, in which everything is heard here. Without it
    # the detector hears what a codec leaves of a pause, and opens and closes elsewhere over each.
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
    """One stretch of speech, short pauses included: the hops from `start` up to, without, `end`.

    Hop j is the samples from 80 j up to, without, 80 (j + 1). A log-mel frame hears two and a half
    hops, so the frames wholly inside are those from `start` up to, without, `end` - 2.
    """

    start: int
    end: int


@cache
def _line_noise(rms: float) -> NDArray[np.int32]:
    """(_NOISE_HOPS, HOP_SAMPLES), the same in every call, again and again."""
    noise = np.random.default_rng(0).normal(0, rms, (_NOISE_HOPS, HOP_SAMPLES))
    return np.rint(noise).astype(np.int32)


class SpeechGate:
    """One speaker's samples into, for every hop, the stretch of speech then under way.

    Nothing is held back: an opening is told once it is certain, with a `start` that lies `lead_s`
    before. In a pause the stretch stays as it is, its `end` where the voice was last heard, until
    it has lasted `close_s`.
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
        """The next samples (n,): for each hop that they complete, the stretch as it then stands.

        None is no speech. However the samples are cut into pieces, the answers are the same.
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
            self._hear(self._has_voice(hop.tobytes(), SAMPLE_RATE), energy)
            for hop, energy in zip(hops, energies, strict=True)
        ]

    def _hear(self, has_voice: bool, energy: float) -> Stretch | None:
        self._hops += 1
        older, old = self._energies
        self._energies = old, energy
        level_db = 10 * math.log10((older + old + energy) / _FULL_SCALE + _QUIET)
        before_db, last_db = self._levels_db
        self._levels_db = last_db, level_db
        moved_db = min(abs(level_db - before_db), _CAP_DB)
        self._movement_db += self._weight * (moved_db - self._movement_db)

        voiced = has_voice and self._movement_db >= self._lively_db
        self._voiced_hops = self._voiced_hops + 1 if voiced else 0
        if self._voiced_hops >= self._open_hops:
            led = self._hops - self._lead_hops
            opened = max(self._end, led - led % self._grid_hops)
            start = self._stretch.start if self._stretch else opened
            self._end = self._hops
            self._stretch = Stretch(start, self._end)
        elif self._stretch and self._hops - self._end >= self._close_hops:
            self._stretch = None
        return self._stretch


def speech_spans(pcm: Pcm, spec: GateSpec) -> list[Stretch]:
    """The stretches of speech in a whole recording, int16 (n,) at 8 kHz."""
    latest = {stretch.start: stretch for stretch in SpeechGate(spec).feed(pcm) if stretch}
    return list(latest.values())
