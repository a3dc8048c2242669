"""Measures what the speech gate costs and accepts, against the bare detectors it could use.

    KANJO_CORPORA=... python -m tests.benchmarks gate

Without corpora, only the cost and sounds other than speech are measured. Silero's detector is
compared where `silero-vad` and `onnxruntime` are installed (the former by `pip install --no-deps`:
it declares torchaudio as a dependency and does not need it).
"""

import csv
import importlib.util
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import webrtcvad
from numpy.typing import NDArray
from rich.table import Table

from model.audio import FRAME_SAMPLES, SAMPLE_RATE, Pcm, mulaw_decode, mulaw_encode
from model.gate import HOP_SAMPLES, GateSpec, SpeechGate, speech_spans
from training.data.manifest import folders_of, manifests_in

UTTERANCES = 40  # of each corpus
SHORT_S = 0.5  # an utterance of which less is accepted counts as lost
SNR_DB = 10
SECONDS = 8  # of each sound other than speech

Accepted = NDArray[np.bool_]  # (hops,): accepted as speech or not
Detector = Callable[[Pcm], Accepted]


def detectors() -> dict[str, Detector]:
    """Returns all that is compared, by name; the last is the gate."""
    silero: dict[str, Detector] = {}
    if importlib.util.find_spec("silero_vad") and importlib.util.find_spec("onnxruntime"):
        silero["silero 0.5"] = Silero()
    return {
        **{f"webrtc {mode}": lambda pcm, mode=mode: webrtc(pcm, mode) for mode in range(4)},
        **silero,
        "gate, any level": lambda pcm: gate(pcm, replace(GateSpec(), lively_db=0.0)),
        "gate": lambda pcm: gate(pcm, GateSpec()),
    }


def webrtc(pcm: Pcm, mode: int) -> Accepted:
    vad = webrtcvad.Vad(mode)
    return np.array([vad.is_speech(hop.tobytes(), SAMPLE_RATE) for hop in hops(pcm)])


def gate(pcm: Pcm, spec: GateSpec) -> Accepted:
    accepted = np.zeros(len(hops(pcm)), bool)
    for start, end in speech_spans(pcm, spec):
        accepted[start:end] = True
    return accepted


class Silero:
    """Silero's model on 32 ms pieces, each with the 4 ms before it, on one thread."""

    PIECE, BEFORE = 256, 32

    def __init__(self) -> None:
        import onnxruntime

        found = importlib.util.find_spec("silero_vad")
        assert found
        assert found.submodule_search_locations
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
        self._session = onnxruntime.InferenceSession(model, options)

    def __call__(self, pcm: Pcm) -> Accepted:
        scaled = np.concatenate((np.zeros(self.BEFORE), pcm / 32768)).astype(np.float32)
        state = np.zeros((2, 1, 128), np.float32)
        rate = np.array(SAMPLE_RATE, np.int64)
        probabilities = []
        for at in range(0, len(pcm) - self.PIECE + 1, self.PIECE):
            piece = scaled[None, at : at + self.BEFORE + self.PIECE]
            inputs = {"input": piece, "state": state, "sr": rate}
            probability, state = self._session.run(None, inputs)
            probabilities.append(probability[0, 0])
        centres = np.arange(len(hops(pcm))) * HOP_SAMPLES + HOP_SAMPLES // 2
        pieces = np.minimum(centres // self.PIECE, len(probabilities) - 1)
        accepted: Accepted = np.array(probabilities)[pieces] >= 0.5
        return accepted


def hops(pcm: Pcm) -> Pcm:
    """Returns the samples as (hops, 80)."""
    return pcm[: len(pcm) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)


def telephone(levels: NDArray[np.float64]) -> Pcm:
    """Returns samples from -1 to 1 after a mu-law line."""
    pcm = np.clip(np.round(levels * 32768), -32768, 32767).astype(np.int16)
    return mulaw_decode(mulaw_encode(pcm))


def noise(dbfs: float, samples: int, *, pink: bool = False) -> NDArray[np.float64]:
    """Returns white or pink noise of a level, from -1 to 1."""
    levels = np.random.default_rng(0).standard_normal(samples)
    if pink:
        spectrum = np.fft.rfft(levels)
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
        levels = np.fft.irfft(spectrum, samples)
    return levels / np.sqrt(np.mean(levels**2)) * 10 ** (dbfs / 20)


def tones(
    *hz: float, on_s: float = 1.0, every_s: float = 1.0, harmonics: int = 1, decay_s: float = 1e9
) -> NDArray[np.float64]:
    """Returns tones of -15 dBFS each, with harmonics, for `on_s` every `every_s`."""
    at_s = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    since_s = at_s % every_s
    wave = sum(
        np.sin(2 * np.pi * f * k * at_s) / k
        for f in hz
        for k in range(1, harmonics + 1)
        if f * k < SAMPLE_RATE / 2
    )
    return 0.25 * wave / max(1, len(hz) / 2) * np.exp(-since_s / decay_s) * (since_s < on_s)


def in_turn(sounds: list[NDArray[np.float64]], each_s: float) -> NDArray[np.float64]:
    """Returns `each_s` of one sound after the other, in a loop."""
    turn = np.arange(SECONDS * SAMPLE_RATE) // round(each_s * SAMPLE_RATE) % len(sounds)
    return np.choose(turn, sounds)


def not_speech() -> Iterator[tuple[str, Pcm]]:
    """Yields sounds of a telephone line other than speech, by name."""
    n = SECONDS * SAMPLE_RATE
    yield "digital silence", np.zeros(n, np.int16)
    yield "idle line, +-8", telephone(np.random.default_rng(0).integers(-8, 9, n) / 32768)
    for dbfs in (-60, -50, -40, -30):
        yield f"white noise, {dbfs} dBFS", telephone(noise(dbfs, n))
        yield f"pink noise, {dbfs} dBFS", telephone(noise(dbfs, n, pink=True))
    yield "dial tone EU", telephone(tones(425))
    yield "dial tone EU, noisy", telephone(tones(425) + noise(-50, n))
    yield "dial tone US", telephone(tones(350, 440))
    yield "ringback EU", telephone(tones(425, on_s=1, every_s=5))
    yield "ringback UK", telephone(tones(400, 450, on_s=0.4, every_s=0.6))
    yield "ringback US", telephone(tones(440, 480, on_s=2, every_s=6))
    yield "ringback US, -35 dBFS", telephone(tones(440, 480, on_s=2, every_s=6) / 10)
    yield "busy US", telephone(tones(480, 620, on_s=0.5, every_s=1))
    yield "congestion EU", telephone(tones(425, on_s=0.25, every_s=0.5))
    yield "fax calling", telephone(tones(1100, on_s=0.5, every_s=3.5))
    keys = [(697, 1209), (770, 1336), (852, 1477), (941, 1336), (697, 1477)]
    pressed = [tones(*key, on_s=0.2, every_s=0.8) for key in keys]
    yield "keypad, by hand", telephone(in_turn(pressed, 0.8))
    dialled = [tones(*key, on_s=0.1, every_s=0.2) for key in keys]
    yield "keypad, dialled", telephone(in_turn(dialled, 0.2))
    chords = [(262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294)]
    yield "chords, sines", telephone(in_turn([tones(*c) for c in chords], 1))
    yield "chords, organ", telephone(in_turn([tones(*c, harmonics=9) for c in chords], 1))
    plucked = [tones(*c, harmonics=9, decay_s=0.4) for c in chords]
    yield "chords, plucked", telephone(in_turn(plucked, 1))
    notes = [tones(f, every_s=0.25, harmonics=9, decay_s=0.15) for c in chords for f in c]
    yield "melody, plucked", telephone(in_turn(notes, 0.25))


def utterances(corpora: Sequence[Path]) -> Iterator[tuple[str, list[Pcm]]]:
    """Yields UTTERANCES of each corpus, by its name."""
    for manifest in manifests_in(corpora):
        with manifest.open(newline="") as file:
            paths = sorted(row["path"] for row in csv.DictReader(file))
        chosen = random.Random(0).sample(paths, min(UTTERANCES, len(paths)))
        recordings = [soundfile.read(manifest.parent / p, dtype="int16")[0] for p in chosen]
        yield manifest.parent.name, [telephone(pcm / 32768) for pcm in recordings]


def loud(pcm: Pcm) -> Accepted:
    """Returns the hops of a clean utterance that are surely voice: within 25 dB of the loudest."""
    power = np.convolve(np.mean(hops(pcm).astype(float) ** 2, axis=1), np.ones(3) / 3, "same")
    voiced: Accepted = power > max(np.percentile(power, 95) / 10**2.5, 32768**2 / 1e6)
    return voiced


def in_noise(pcm: Pcm, *, pink: bool) -> Pcm:
    """Returns an utterance in noise that is SNR_DB below its voice."""
    dbfs = 10 * np.log10(np.mean((hops(pcm)[loud(pcm)] / 32768) ** 2))
    return telephone(pcm / 32768 + noise(dbfs - SNR_DB, len(pcm), pink=pink))


def cost(pcm: Pcm) -> Table:
    """Returns the table of the CPU time on one thread, the best of five."""
    table = Table("fed 20 ms at a time", "us a piece", "ms a second", title="Cost")
    last = len(pcm) - FRAME_SAMPLES + 1
    pieces = [pcm[at : at + FRAME_SAMPLES] for at in range(0, last, FRAME_SAMPLES)]

    def spent_s(feed: Callable[[], Callable[[Pcm], object]]) -> float:
        best_s = float("inf")
        for _ in range(5):
            detect, began_s = feed(), time.thread_time()
            for piece in pieces:
                detect(piece)
            best_s = min(best_s, time.thread_time() - began_s)
        return best_s

    def bare() -> Callable[[Pcm], object]:
        vad = webrtcvad.Vad(2)
        return lambda piece: [vad.is_speech(hop.tobytes(), SAMPLE_RATE) for hop in hops(piece)]

    costs = {"webrtc": spent_s(bare), "gate": spent_s(lambda: SpeechGate(GateSpec()).feed)}
    if silero := detectors().get("silero 0.5"):
        began_s = time.thread_time()
        silero(pcm)
        costs["silero (32 ms pieces)"] = time.thread_time() - began_s
    for name, taken_s in costs.items():
        table.add_row(
            name,
            f"{1e6 * taken_s / len(pieces):.1f}",
            f"{1e3 * taken_s / (len(pcm) / SAMPLE_RATE):.2f}",
        )
    return table


def accepted_speech(corpora: Sequence[Path]) -> Table:
    """Returns the table of speech that is kept, lost and trimmed.

    An utterance is lost if less than SHORT_S of it is kept; trimmed is the median share rejected.
    """
    table = Table("corpus", title=f"Speech: % of loud hops kept / lost of {UTTERANCES} / % trimmed")
    compared = detectors()
    for name in compared:
        table.add_column(name, justify="right")
    everything: list[Pcm] = []
    for corpus, recordings in utterances(corpora):
        cells = [_kept(detector, recordings, recordings) for detector in compared.values()]
        table.add_row(corpus, *cells)
        everything += recordings[:10]
    for colour, pink in (("white", False), ("pink", True)):
        noisy = [in_noise(pcm, pink=pink) for pcm in everything]
        cells = [_kept(detector, everything, noisy) for detector in compared.values()]
        table.add_row(f"{len(noisy)} in {colour} noise, {SNR_DB} dB", *cells)
    return table


def _kept(detector: Detector, clean: list[Pcm], received: list[Pcm]) -> str:
    accepted = [detector(pcm) for pcm in received]
    voices = [loud(pcm) for pcm in clean]
    kept = sum(int((a & v).sum()) for a, v in zip(accepted, voices, strict=True))
    lost = sum(int(a.sum()) * HOP_SAMPLES < SHORT_S * SAMPLE_RATE for a in accepted)
    trimmed = np.median([1 - a.mean() for a in accepted])
    return f"{100 * kept / sum(int(v.sum()) for v in voices):.1f} / {lost} / {100 * trimmed:.0f}"


def accepted_other_sounds() -> Table:
    """Returns the table of the share of each sound other than speech that is accepted."""
    compared = detectors()
    table = Table("", title="Other sounds: % of hops accepted (longest uninterrupted, s)")
    for name in compared:
        table.add_column(name, justify="right")
    for name, pcm in not_speech():
        table.add_row(name, *(_share(detector(pcm)) for detector in compared.values()))
    return table


def _share(accepted: Accepted) -> str:
    borders = np.flatnonzero(np.diff(accepted, prepend=False, append=False))
    longest_s = max(np.diff(borders)[::2], default=0) * HOP_SAMPLES / SAMPLE_RATE
    return f"{100 * accepted.mean():.0f} ({longest_s:.1f})" if accepted.any() else "-"


def tables() -> Iterator[Table]:
    """Yields the tables of other sounds, of speech, and of the cost."""
    yield accepted_other_sounds()
    corpora = os.environ.get("KANJO_CORPORA")
    if corpora:
        yield accepted_speech(folders_of(corpora))
        yield cost(np.concatenate([r[0] for _, r in utterances(folders_of(corpora))]))
    else:  # without speech to measure with
        yield cost(dict(not_speech())["melody, plucked"])
