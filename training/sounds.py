"""Makes sounds that a telephone carries and that are not speech; every sound has its own seed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model.audio import SAMPLE_RATE

Wave = NDArray[np.float64]  # (n,) at 8 kHz, of any level
Maker = Callable[[np.random.Generator, float], Wave]

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
KEYPAD_HZ = ((697, 770, 852, 941), (1209, 1336, 1477, 1633))  # ITU-T Q.23
HIGHEST_HZ = 3800
LONGEST_NOTE_S = 4.0


def seconds(samples: int) -> Wave:
    """Returns the times (n,) of samples."""
    return np.arange(samples) / SAMPLE_RATE


def coloured_noise(rng: np.random.Generator, samples: int, gain: Callable[[Wave], Wave]) -> Wave:
    """Returns noise of unit level whose spectrum is `gain` of the frequencies in Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hz: Wave = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE).astype(np.float64) + 1
    wave: Wave = np.fft.irfft(spectrum * gain(hz), samples).astype(np.float64)
    return wave / float(wave.std() + 1e-9)


class Instrument:
    """A timbre drawn at random: harmonics, attack, decay and vibrato."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = rng.integers(1, 16)
        slope = -rng.uniform(0.3, 2.0)
        self._harmonics = rng.uniform(0.3, 1, count) * np.arange(1, count + 1) ** slope
        if rng.random() < 0.3:
            self._harmonics[1::2] *= 0.1  # as of a clarinet
        self._vibrato = float(rng.choice([0, 0, rng.uniform(0, 0.02)]))
        self._vibrato_hz = rng.uniform(4, 7)
        self._attack_s = float(rng.choice([0.003, 0.01, 0.05, 0.15]))
        self._decay_s = float(rng.choice([0.1, 0.25, 0.5, 1.0, 4.0]))
        self._rng = rng

    def note(self, hz: float, duration_s: float) -> Wave:
        """Returns one note, with the attack, decay and vibrato of the timbre."""
        at_s = seconds(int(duration_s * SAMPLE_RATE))
        phase_of_vibrato = 2 * np.pi * self._vibrato_hz * at_s + self._rng.uniform(0, 6)
        phase = 2 * np.pi * np.cumsum(hz * (1 + self._vibrato * np.sin(phase_of_vibrato)))
        wave = np.zeros(len(at_s))
        for number, level in enumerate(self._harmonics, 1):
            if hz * number < HIGHEST_HZ:
                wave += level * np.sin(number * phase / SAMPLE_RATE + self._rng.uniform(0, 6))
        return wave * np.minimum(at_s / self._attack_s, 1) * np.exp(-at_s / self._decay_s)


def part(
    rng: np.random.Generator,
    duration_s: float,
    beat_s: float,
    root_hz: float,
    beats: Sequence[float],
    voices: Sequence[int] = (0,),
) -> Wave:
    """Returns one instrument's part, a walk over a scale; `voices` are steps played together."""
    samples = int(duration_s * SAMPLE_RATE)
    wave = np.zeros(samples + int(2 * LONGEST_NOTE_S * SAMPLE_RATE))
    instrument, scale = Instrument(rng), SCALES[rng.integers(len(SCALES))]
    step, at_s = int(rng.integers(0, 7)), 0.0
    while at_s < duration_s:
        length_s = beat_s * float(rng.choice(beats))
        if rng.random() < 0.85:  # else a rest
            for voice in voices:
                octave, degree = divmod(step + voice, len(scale))
                hz = root_hz * 2 ** (octave + scale[degree] / 12)
                held_s = min(length_s * rng.uniform(0.8, 1.4), LONGEST_NOTE_S)
                note, start = instrument.note(hz, held_s), int(at_s * SAMPLE_RATE)
                wave[start : start + len(note)] += note
        jump = rng.integers(-2, 3) if len(voices) == 1 else rng.integers(-6, 7)
        step = int(np.clip(step + jump, 0, 12))
        at_s += length_s
    return wave[:samples]


def drums(rng: np.random.Generator, duration_s: float, beat_s: float) -> Wave:
    """Returns a repeated bar of bass drum, snare and hi-hat."""
    samples, struck = int(duration_s * SAMPLE_RATE), int(0.3 * SAMPLE_RATE)
    at_s = seconds(struck)
    noise = rng.standard_normal((2, struck + 1))
    sweep = 2 * np.pi * np.cumsum(50 + 120 * np.exp(-at_s / 0.03)) / SAMPLE_RATE
    snare = 0.5 * noise[0, 1:] + 0.5 * np.sin(2 * np.pi * 190 * at_s)
    kit = (
        np.sin(sweep) * np.exp(-at_s / 0.1),
        snare * np.exp(-at_s / rng.uniform(0.04, 0.12)),
        0.4 * np.diff(noise[1]) * np.exp(-at_s / rng.uniform(0.01, 0.06)),
    )
    pattern = rng.random((3, 8)) < np.array([[0.35], [0.3], [0.7]])
    pattern[0, 0] = pattern[1, 4] = True
    wave = np.zeros(samples + struck)
    for step in range(int(duration_s / beat_s * 2)):
        start = int(step * beat_s / 2 * SAMPLE_RATE)
        for drum, bar in zip(kit, pattern, strict=True):
            if bar[step % 8]:
                wave[start : start + struck] += drum * rng.uniform(0.6, 1)
    return wave[:samples]


def music(rng: np.random.Generator, duration_s: float) -> Wave:
    """Returns several parts together, some with drums, reverberation or distortion."""
    beat_s, root_hz = 60 / rng.uniform(60, 170), rng.uniform(100, 300)
    parts = []
    if rng.random() < 0.75:
        octave = float(rng.choice([1, 2, 4]))
        parts.append(part(rng, duration_s, beat_s, root_hz * octave, (0.25, 0.5, 0.5, 1, 1, 2)))
    for _ in range(rng.integers(0, 3)):
        octave = float(rng.choice([0.5, 1, 1, 2]))
        parts.append(part(rng, duration_s, beat_s, root_hz * octave, (2, 4, 4), (0, 2, 4)))
    if rng.random() < 0.5:
        parts.append(part(rng, duration_s, beat_s, root_hz / 2, (2, 4, 4)))
    if rng.random() < 0.55 or not parts:
        parts.append(drums(rng, duration_s, beat_s))
    wave: Wave = np.sum([one / (one.std() + 1e-9) * rng.uniform(0.2, 1.5) for one in parts], axis=0)
    if rng.random() < 0.5:
        decay_s = rng.uniform(0.1, 0.8)
        at_s = seconds(int(decay_s * SAMPLE_RATE))
        echo = rng.standard_normal(len(at_s)) * np.exp(-4 * at_s / decay_s)
        echo[0] = rng.uniform(3, 15)
        wave = np.convolve(wave, echo)[: len(wave)]
    if rng.random() < 0.3:
        wave = np.tanh(wave / wave.std() * rng.uniform(0.5, 3))
    return wave


def melody(rng: np.random.Generator, duration_s: float) -> Wave:
    """Returns one instrument alone, as of a ringing telephone or a signature tune."""
    beat_s = 60 / rng.uniform(60, 200)
    return part(rng, duration_s, beat_s, rng.uniform(150, 700), (0.25, 0.5, 0.5, 1, 1, 2))


def keypad(rng: np.random.Generator, duration_s: float) -> Wave:
    """Returns keypad tones dialled in quick succession."""
    on_s, off_s = rng.uniform(0.05, 0.25), rng.uniform(0.04, 0.5)
    pieces, samples = [], 0
    while samples < duration_s * SAMPLE_RATE:
        at_s = seconds(int(on_s * rng.uniform(0.7, 1.3) * SAMPLE_RATE))
        low, high = (float(rng.choice(group)) for group in KEYPAD_HZ)
        tone = np.sin(2 * np.pi * low * at_s)
        tone += rng.uniform(0.7, 1.3) * np.sin(2 * np.pi * high * at_s)
        pause = np.zeros(int(off_s * rng.uniform(0.5, 1.8) * SAMPLE_RATE))
        pieces += [tone, pause]
        samples += len(tone) + len(pause)
    return on_a_line(rng, np.concatenate(pieces)[: int(duration_s * SAMPLE_RATE)])


def tones(rng: np.random.Generator, duration_s: float) -> Wave:
    """Returns one to three tones in turn, with pauses: ringing, busy, beeps."""
    at_s = seconds(int(duration_s * SAMPLE_RATE))
    on_s, off_s = rng.uniform(0.05, 2), rng.uniform(0.05, 3)
    hz = rng.uniform(300, 2500, rng.integers(1, 4))
    turn = (at_s // (on_s + off_s)).astype(int) % len(hz)
    wave = np.sin(2 * np.pi * np.cumsum(hz[turn]) / SAMPLE_RATE)
    if rng.random() < 0.4:
        wave = np.sign(wave)
    if rng.random() < 0.6:  # beats, as of an American ringback tone
        wave += np.sin(2 * np.pi * (hz[0] + rng.uniform(20, 60)) * at_s)
    return on_a_line(rng, wave * (at_s % (on_s + off_s) < on_s))


def on_a_line(rng: np.random.Generator, wave: Wave) -> Wave:
    """Returns the wave with the noise of a line."""
    return wave + rng.standard_normal(len(wave)) * 10 ** rng.uniform(-4, -1.5)


def blowing(rng: np.random.Generator, duration_s: float) -> Wave:
    """Returns breath or wind that strikes a microphone in gusts."""
    samples = int(duration_s * SAMPLE_RATE)
    slope, low_hz = rng.uniform(0.3, 1.5), float(rng.choice([20, 80, 150, 300]))
    noise = coloured_noise(rng, samples, lambda hz: hz**-slope * (hz > low_hz))
    level, at_s = np.zeros(samples), 0.0
    while at_s < duration_s:
        length_s, start = rng.uniform(0.3, 2.5), int(at_s * SAMPLE_RATE)
        gust = level[start : start + int(length_s * SAMPLE_RATE)]
        swell = np.sin(np.pi * np.arange(len(gust)) / len(gust)) ** rng.uniform(0.3, 1.5)
        knots = np.arange(0, len(gust) + SAMPLE_RATE // 10, SAMPLE_RATE // 20)
        flutter = np.interp(np.arange(len(gust)), knots, rng.uniform(0.3, 1, len(knots)))
        gust[:] = swell * flutter * rng.uniform(0.3, 1)
        at_s += length_s + rng.uniform(0.05, 1.2)
    wave = noise * level
    return np.clip(wave, -0.8, 0.8) if rng.random() < 0.5 else wave


def knocks(rng: np.random.Generator, duration_s: float) -> Wave:
    """Returns knocks and clicks: of a handset, a keyboard, a table."""
    samples, at_s = int(duration_s * SAMPLE_RATE), 0.0
    wave = np.zeros(samples + SAMPLE_RATE)
    gap_s = float(rng.choice([0.12, 0.25]))
    while at_s < duration_s:
        of_s = seconds(int(rng.uniform(0.03, 0.3) * SAMPLE_RATE))
        ring = np.sin(2 * np.pi * rng.uniform(80, 2500) * of_s) * rng.uniform(0, 1)
        knock = ring + rng.standard_normal(len(of_s)) * rng.uniform(0.1, 1)
        start = int(at_s * SAMPLE_RATE)
        decay = np.exp(-of_s / rng.uniform(0.005, 0.08))
        wave[start : start + len(of_s)] += knock * decay * rng.uniform(0.2, 1)
        at_s += rng.exponential(gap_s) + 0.03
    return wave[:samples]


def rumble(rng: np.random.Generator, duration_s: float) -> Wave:
    """Returns noise whose level changes: traffic, wind, crackle of a bad line."""
    samples = int(duration_s * SAMPLE_RATE)
    slope, width = rng.uniform(0, 1.2), rng.uniform(0.4, 3)
    centre = np.log(rng.uniform(100, 3000))
    noise = coloured_noise(
        rng, samples, lambda hz: hz**-slope * np.exp(-(((np.log(hz) - centre) / width) ** 2))
    )
    knots = np.arange(0, samples + 2 * SAMPLE_RATE, int(SAMPLE_RATE / rng.uniform(2, 20)))
    db = rng.normal(0, rng.uniform(4, 12), len(knots))
    return noise * np.interp(np.arange(samples), knots, 10 ** (db / 20))


MAKERS: Mapping[str, Maker] = {
    "music": music,
    "melody": melody,
    "keypad": keypad,
    "tones": tones,
    "blowing": blowing,
    "knocks": knocks,
    "rumble": rumble,
}


def make(kind: str, number: int, duration_s: float) -> Wave:
    """Returns the sound `number` of a kind of MAKERS: the same numbers at every call."""
    rng = np.random.default_rng([*kind.encode(), number])
    return MAKERS[kind](rng, duration_s)
