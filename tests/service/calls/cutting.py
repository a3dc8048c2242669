"""Speech and cut windows for the tests of the window cutter."""

from collections.abc import Iterator
from functools import cache
from itertools import repeat

import numpy as np
import soundfile

from model.audio import SAMPLE_RATE, Pcm
from model.features import FeatureSpec
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, Stretch, speech_spans
from model.speaker_baseline import SpeakerBaseline
from service.calls.windows import Window, WindowCutter
from tests.paths import SAMPLES

SPEC = FeatureSpec(pitch_lags=24, functionals=True)
GATE = GateSpec()
FIRST_S, WINDOW_HOP_S = 1.5, 1.0
SECOND = SAMPLE_RATE


@cache
def caller(name: str = "sounds-angry") -> Pcm:
    pcm, _ = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
    return np.ascontiguousarray(pcm[:, 0])


@cache
def monologue() -> Pcm:
    """A caller who never pauses for long, 24 s."""
    pcm = caller()
    spans = speech_spans(pcm, GATE)
    return np.concatenate([pcm[s * HOP_SAMPLES : e * HOP_SAMPLES] for s, e in spans])[: 24 * SECOND]


def silence(seconds: float) -> Pcm:
    """An open telephone line on which nobody speaks."""
    return np.random.default_rng(0).integers(-4, 5, round(seconds * SECOND)).astype(np.int16)


def cutter(
    gate: GateSpec | None = GATE,
    hop_s: float = WINDOW_HOP_S,
    baseline: SpeakerBaseline | None = None,
) -> WindowCutter:
    return WindowCutter(SPEC, gate, FIRST_S, hop_s, baseline)


def pieces(pcm: Pcm, sizes: Iterator[int]) -> Iterator[Pcm]:
    start = 0
    while start < len(pcm):
        size = next(sizes)
        yield pcm[start : start + size]
        start += size


def cut(
    pcm: Pcm,
    sizes: Iterator[int] | None = None,
    gate: GateSpec | None = GATE,
    into: WindowCutter | None = None,
) -> list[Window]:
    into = into or cutter(gate)
    found = [w for piece in pieces(pcm, sizes or repeat(SECOND)) for w in into.feed(piece)]
    return found + into.end()


def hops(window: Window) -> tuple[int, int]:
    return round(window.start_s / HOP_S), round(window.end_s / HOP_S)


def assert_same(ours: list[Window], theirs: list[Window]) -> None:
    assert [(w.start_s, w.end_s, w.heard_s) for w in ours] == [
        (w.start_s, w.end_s, w.heard_s) for w in theirs
    ]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.model_input.baseline_utterances == other.model_input.baseline_utterances
        for ours_array, theirs_array in (
            (mine.model_input.frames, other.model_input.frames),
            (mine.model_input.functionals, other.model_input.functionals),
            (mine.model_input.baseline, other.model_input.baseline),
        ):
            np.testing.assert_array_equal(ours_array, theirs_array)


def of_stretch(found: list[Window], stretch: Stretch) -> list[Window]:
    return [w for w in found if stretch.start < hops(w)[1] <= stretch.end]
