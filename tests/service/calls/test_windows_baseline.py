from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, repeat

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio import Pcm
from model.features import FeatureSpec, Frames, log_mel
from model.functionals import Functionals, functionals
from model.gate import HOP_S, GateSpec, Stretch, speech_spans
from model.speaker_baseline import ModelInput, SpeakerBaseline
from model.speech_check import SpeechCheck
from service.calls.windows import FRAME_OVERHANG, SHORTEST_S, WindowCutter
from tests.service.calls.cutting import (
    FIRST_S,
    GATE,
    SECOND,
    SPEC,
    WINDOW_HOP_S,
    assert_same,
    caller,
    cut,
    cutter,
    hops,
    monologue,
    of_stretch,
    pieces,
    silence,
)


def frames_of(pcm: Pcm, start: int, end: int) -> Frames:
    return log_mel(pcm, SPEC)[start:end]


def stretches(pcm: Pcm) -> list[Stretch]:
    return speech_spans(pcm, GATE)


def test_a_stretch_goes_into_the_baseline_when_it_is_over() -> None:
    pcm = np.concatenate(
        [
            piece
            for n in range(3)
            for piece in (monologue()[n * 4 * SECOND :][: 3 * SECOND], silence(1))
        ]
    )
    spans = stretches(pcm)
    found = cut(pcm)
    assert len(spans) == 3
    added = []
    for number, span in enumerate(spans):
        mine = of_stretch(found, span)
        assert len(mine) >= 2
        assert {w.model_input.baseline_utterances for w in mine} == {number}
        for window in mine:
            before = np.mean(added, axis=0) if added else np.zeros_like(window.model_input.baseline)
            np.testing.assert_allclose(window.model_input.baseline, before, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(
                window.model_input.functionals, functionals(window.model_input.frames, SPEC)
            )
        added.append(functionals(frames_of(pcm, span.start, span.end - FRAME_OVERHANG), SPEC))


def test_long_speech_goes_into_the_baseline_3_s_at_a_time_once_no_window_contains_them() -> None:
    pcm = np.append(monologue(), silence(1))
    [span] = stretches(pcm)
    added: list[Functionals] = []
    added_to = span.start
    for window in cut(pcm):
        first, _ = hops(window)
        if first - added_to >= 300:
            added.append(functionals(frames_of(pcm, added_to, first), SPEC))
            added_to = first
        before = np.mean(added, axis=0) if added else np.zeros_like(window.model_input.baseline)
        assert window.model_input.baseline_utterances == len(added)
        np.testing.assert_allclose(window.model_input.baseline, before, rtol=1e-5, atol=1e-5)
    assert len(added) >= 4


def test_less_than_a_second_does_not_go_into_the_basesilence() -> None:
    short = np.concatenate((silence(1), monologue()[SECOND // 2 : SECOND * 11 // 10], silence(1)))
    pcm = np.concatenate((short, short, monologue()[: 3 * SECOND], silence(1)))
    spans = stretches(pcm)
    assert all(SHORTEST_S <= (end - start) * HOP_S < 1 for start, end in spans[:2])
    assert len(spans) == 3
    found = cut(pcm)
    assert len(found) >= 4
    assert {w.model_input.baseline_utterances for w in found} == {0}


class RecordingBaseline(SpeakerBaseline):
    """Keeps the frames of every call of `features` and `update`, in order."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.calls: list[tuple[str, list[bytes]]] = []

    def features(self, frames: Frames, chunks: Sequence[object] = ()) -> ModelInput:
        assert not chunks
        self.calls.append(("features", [frame.tobytes() for frame in frames]))
        return super().features(frames)

    def update(
        self, frames: Frames, check: SpeechCheck | None = None, chunks: Sequence[object] = ()
    ) -> None:
        assert not chunks
        self.calls.append(("update", [frame.tobytes() for frame in frames]))
        super().update(frames, check)


@settings(max_examples=15, deadline=None)
@given(
    before_s=st.floats(0, 20),
    hop_s=st.sampled_from([0.3, 1.0, 2.6, 4.0, 9.0]),
    gate=st.sampled_from([GATE, None]),
    sizes=st.lists(st.integers(100, SECOND), min_size=1, max_size=9),
)
def test_speech_goes_into_the_baseline_once_and_is_in_no_window_after(
    before_s: float, hop_s: float, gate: GateSpec | None, sizes: list[int]
) -> None:
    recorded = RecordingBaseline()
    pcm = np.concatenate(
        (silence(before_s), caller("neutral")[: 6 * SECOND], monologue(), silence(0.7))
    )
    # No two frames are alike then.
    pcm += np.random.default_rng(1).integers(-9, 10, len(pcm)).astype(np.int16)
    cut(pcm, chain.from_iterable(repeat(sizes)), into=cutter(gate, hop_s, recorded))
    updated: set[bytes] = set()
    for method, frames in recorded.calls:
        assert updated.isdisjoint(frames)
        if method == "update":
            assert 98 <= len(frames) <= SPEC.window_frames
            updated.update(frames)
    assert len(updated) > 15 / HOP_S


def test_a_baseline_can_be_passed_from_one_cutter_to_the_next() -> None:
    baseline = SpeakerBaseline(SPEC)
    first, second = caller()[: 12 * SECOND], caller("neutral")[: 12 * SECOND]
    before = cut(first, into=cutter(baseline=baseline))
    after = cut(second, into=cutter(baseline=baseline))
    through = cutter()
    expected = [w for piece in pieces(first, repeat(SECOND)) for w in through.feed(piece)]
    expected += through.skip(0)
    assert_same(before, expected)
    assert after[0].model_input.baseline_utterances > 1
    fresh = cut(second)
    expected = cut(second, into=through)
    assert [w.model_input.baseline_utterances for w in after] == [
        w.model_input.baseline_utterances for w in expected
    ]
    assert fresh[0].model_input.baseline_utterances == 0
    for mine, other in zip(after, expected, strict=True):
        np.testing.assert_array_equal(mine.model_input.baseline, other.model_input.baseline)
        np.testing.assert_array_equal(mine.model_input.functionals, other.model_input.functionals)


def test_a_spec_without_functionals_has_an_empty_baseline() -> None:
    plain = FeatureSpec()
    into = WindowCutter(plain, GATE, FIRST_S, WINDOW_HOP_S)
    found = cut(caller(), into=into)
    assert len(found) > 10
    assert_same(
        [
            replace(w, model_input=SpeakerBaseline(plain).features(w.model_input.frames))
            for w in found
        ],
        found,
    )
