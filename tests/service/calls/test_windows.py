import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio import SAMPLE_RATE, Pcm
from model.features import FeatureSpec, Frames, log_mel
from model.functionals import Functionals, functionals
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, SpeechGate, Stretch, speech_spans
from model.speaker_baseline import ModelInput, SpeakerBaseline
from service.calls.windows import FRAME_OVERHANG, SHORTEST_S, Window, WindowCutter
from tests.paths import SAMPLES
from training.data.channel import CLEAN
from training.data.recordings import speech_frames

SPEC = FeatureSpec(pitch_lags=24, functionals=True)
GATE = GateSpec()
FIRST_S, HOP_READ_S = 1.5, 1.0
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


def line(seconds: float) -> Pcm:
    """An open line on which nobody speaks."""
    return np.random.default_rng(0).integers(-4, 5, round(seconds * SECOND)).astype(np.int16)


def cutter(
    gate: GateSpec | None = GATE, hop_s: float = HOP_READ_S, known: SpeakerBaseline | None = None
) -> WindowCutter:
    return WindowCutter(SPEC, gate, FIRST_S, hop_s, known)


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
        for ours_heard, theirs_heard in (
            (mine.model_input.frames, other.model_input.frames),
            (mine.model_input.functionals, other.model_input.functionals),
            (mine.model_input.baseline, other.model_input.baseline),
        ):
            np.testing.assert_array_equal(ours_heard, theirs_heard)


def of_stretch(found: list[Window], stretch: Stretch) -> list[Window]:
    return [w for w in found if stretch.start < hops(w)[1] <= stretch.end]


@settings(max_examples=20, deadline=None)
@given(
    start=st.integers(0, 30 * SECOND),
    sizes=st.lists(st.integers(100, SECOND), min_size=1, max_size=20),
)
def test_the_windows_of_a_call_are_the_same_for_any_chunking(start: int, sizes: list[int]) -> None:
    pcm = np.concatenate((caller()[start : start + 6 * SECOND], monologue()[: 9 * SECOND], line(1)))
    assert_same(cut(pcm, chain.from_iterable(repeat(sizes))), cut(pcm))


@pytest.mark.parametrize("samples", [1, 7, 80, 160, 199])
def test_the_windows_of_a_call_are_the_same_for_tiny_pieces(samples: int) -> None:
    pcm = np.concatenate((caller()[2 * SECOND : 7 * SECOND], line(0.7)))
    assert cut(pcm)
    assert_same(cut(pcm, repeat(samples)), cut(pcm))


@pytest.mark.parametrize("name", ["neutral", "sounds-angry", "sounds-angry-once"])
def test_a_windows_frames_are_those_of_the_whole_recording_at_that_place(name: str) -> None:
    whole = log_mel(caller(name), SPEC)
    found = cut(caller(name))
    assert len(found) > 10
    for window in found:
        start, end = hops(window)
        assert len(window.model_input.frames) == SPEC.frames_in((end - start) * HOP_SAMPLES)
        np.testing.assert_array_equal(
            window.model_input.frames, whole[start : start + len(window.model_input.frames)]
        )


def test_a_windows_frames_are_what_training_makes_of_an_utterance_cut_there(tmp_path: Path) -> None:
    # Training takes an utterance whole if its gate hears nothing; this one never does.
    whole = GateSpec(lively_db=1000)
    pcm = np.concatenate((caller()[: 8 * SECOND], monologue(), line(1)))
    found = cut(pcm)
    assert max(len(w.model_input.frames) for w in found) == SPEC.window_frames
    for window in found:
        start, end = hops(window)
        path = tmp_path / f"{end}.wav"
        soundfile.write(path, pcm[start * HOP_SAMPLES : end * HOP_SAMPLES], SAMPLE_RATE)
        trained = speech_frames(path, CLEAN, SPEC, whole)
        # An utterance has no sample before its first, so its first frame is emphasised differently.
        np.testing.assert_array_equal(window.model_input.frames[1:], trained[1:])


@pytest.mark.parametrize("pcm", [caller("neutral"), caller(), np.append(monologue(), line(1))])
def test_the_first_window_comes_after_first_s_then_one_every_hop_and_one_at_the_end(
    pcm: Pcm,
) -> None:
    heard = [stretch for stretch in SpeechGate(GATE).feed(pcm) if stretch]
    expected = []
    for start in dict.fromkeys(stretch.start for stretch in heard):
        ends = [stretch.end for stretch in heard if stretch.start == start]
        if ends[-1] - start < SHORTEST_S / HOP_S:
            continue
        due = start + round(FIRST_S / HOP_S)
        for end in ends:
            if end >= due:
                expected.append(end)
                due = end + round(HOP_READ_S / HOP_S)
        if expected[-1:] != ends[-1:]:
            expected.append(ends[-1])
    assert [hops(w)[1] for w in cut(pcm)] == expected


@pytest.mark.parametrize("pcm", [caller("neutral"), caller(), np.append(monologue(), line(1))])
def test_what_the_windows_of_a_stretch_heard_sums_to_its_length(pcm: Pcm) -> None:
    into = cutter()
    found = [w for piece in pieces(pcm, repeat(160)) for w in into.feed(piece)] + into.end()
    spans = [s for s in speech_spans(pcm, GATE) if s.end - s.start >= SHORTEST_S / HOP_S]
    assert spans
    for span in spans:
        heard_s = sum(w.heard_s for w in of_stretch(found, span))
        assert heard_s == pytest.approx((span.end - span.start) * HOP_S)
    assert into.speech_s == pytest.approx(sum(e - s for s, e in spans) * HOP_S)
    assert into.position_s == len(pcm) / SAMPLE_RATE


def test_long_speech_is_heard_by_its_last_7500_ms() -> None:
    found = cut(np.append(monologue(), line(1)))
    start, _ = hops(found[0])
    assert len(found) > 15
    for window in found:
        first, last = hops(window)
        assert first == max(start, last - 750)
        assert len(window.model_input.frames) <= SPEC.window_frames


def test_the_last_window_of_long_speech_is_there_however_long_the_call_has_lasted() -> None:
    # Frames are kept in a buffer that is moved now and then: at no place may it forget too soon.
    speech = np.concatenate((monologue()[: 10 * SECOND], line(1)))
    for before_s in np.arange(0, 10.5, 0.25):
        pcm = np.append(line(before_s), speech)
        whole = log_mel(pcm, SPEC)
        last = cut(pcm)[-1]
        start, end = hops(last)
        np.testing.assert_array_equal(last.model_input.frames, whole[start : end - 2])


@pytest.mark.parametrize("pcm", [line(5), np.zeros(5 * SECOND, np.int16)])
def test_silence_gives_no_window(pcm: Pcm) -> None:
    into = cutter()
    assert into.feed(pcm) == []
    assert not into.speaking
    assert into.end() == []
    assert into.speech_s == 0


def test_a_blip_gives_no_window() -> None:
    blip = np.concatenate((line(1), monologue()[SECOND // 2 : SECOND * 13 // 20], line(1)))
    spans = speech_spans(blip, GATE)
    assert spans
    assert all(end - start < SHORTEST_S / HOP_S for start, end in spans)
    assert cut(blip) == []


def test_speech_at_the_end_of_a_call_is_in_its_last_window() -> None:
    into = cutter()
    pcm = caller()[: 2 * SECOND + 400]
    found = [w for piece in pieces(pcm, repeat(160)) for w in into.feed(piece)]
    assert into.speaking
    [last] = into.end()
    assert last.end_s == pytest.approx(speech_spans(pcm, GATE)[-1].end * HOP_S)
    assert found == []
    assert not into.speaking
    assert into.end() == []


@pytest.mark.parametrize("missing", [1, 79, 12_345, 3600 * SECOND])
def test_a_gap_ends_the_stretch_and_shifts_time_by_exactly_what_is_missing(missing: int) -> None:
    before, after = caller()[: 2 * SECOND + 401], caller("neutral")[: 12 * SECOND]
    into = cutter()
    ours = [w for piece in pieces(before, repeat(160)) for w in into.feed(piece)]
    assert into.speaking
    ours += into.skip(missing)
    assert not into.speaking
    assert ours
    assert into.position_s == (len(before) + missing) / SAMPLE_RATE
    assert_same(ours, cut(before))
    theirs = cut(after)
    shifted = [w for piece in pieces(after, repeat(160)) for w in into.feed(piece)] + into.end()
    gone_s = (len(before) + missing) / SAMPLE_RATE
    assert len(shifted) == len(theirs) > 3
    for ours_now, alone in zip(shifted, theirs, strict=True):
        assert ours_now.start_s == pytest.approx(alone.start_s + gone_s, abs=1e-9)
        assert ours_now.end_s == pytest.approx(alone.end_s + gone_s, abs=1e-9)
        assert ours_now.heard_s == alone.heard_s
        assert (
            ours_now.model_input.baseline_utterances == alone.model_input.baseline_utterances + 1
        )  # from before the gap
        np.testing.assert_array_equal(ours_now.model_input.frames, alone.model_input.frames)


# What is known of the caller's own voice.


def frames_of(pcm: Pcm, start: int, end: int) -> Frames:
    return log_mel(pcm, SPEC)[start:end]


def stretches(pcm: Pcm) -> list[Stretch]:
    return speech_spans(pcm, GATE)


def test_a_stretch_is_part_of_the_caller_s_voice_when_it_is_over() -> None:
    pcm = np.concatenate(
        [
            stream
            for n in range(3)
            for stream in (monologue()[n * 4 * SECOND :][: 3 * SECOND], line(1))
        ]
    )
    spans = stretches(pcm)
    found = cut(pcm)
    assert len(spans) == 3
    told = []
    for number, span in enumerate(spans):
        mine = of_stretch(found, span)
        assert len(mine) >= 2
        assert {w.model_input.baseline_utterances for w in mine} == {number}
        for window in mine:
            before = np.mean(told, axis=0) if told else np.zeros_like(window.model_input.baseline)
            np.testing.assert_allclose(window.model_input.baseline, before, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(
                window.model_input.functionals, functionals(window.model_input.frames, SPEC)
            )
        told.append(functionals(frames_of(pcm, span.start, span.end - FRAME_OVERHANG), SPEC))


def test_long_speech_is_remembered_by_3_s_as_soon_as_no_window_holds_them() -> None:
    pcm = np.append(monologue(), line(1))
    [span] = stretches(pcm)
    told: list[Functionals] = []
    told_to = span.start
    for window in cut(pcm):
        first, _ = hops(window)
        if first - told_to >= 300:
            told.append(functionals(frames_of(pcm, told_to, first), SPEC))
            told_to = first
        before = np.mean(told, axis=0) if told else np.zeros_like(window.model_input.baseline)
        assert window.model_input.baseline_utterances == len(told)
        np.testing.assert_allclose(window.model_input.baseline, before, rtol=1e-5, atol=1e-5)
    assert len(told) >= 4


def test_less_than_a_second_tells_nothing_of_a_voice() -> None:
    short = np.concatenate((line(1), monologue()[SECOND // 2 : SECOND * 11 // 10], line(1)))
    pcm = np.concatenate((short, short, monologue()[: 3 * SECOND], line(1)))
    spans = stretches(pcm)
    assert all(SHORTEST_S <= (end - start) * HOP_S < 1 for start, end in spans[:2])
    assert len(spans) == 3
    found = cut(pcm)
    assert len(found) >= 4
    assert {w.model_input.baseline_utterances for w in found} == {0}


class Diary(SpeakerBaseline):
    """Notes in which order which frames were heard and remembered."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.notes: list[tuple[str, list[bytes]]] = []

    def features(self, frames: Frames) -> ModelInput:
        self.notes.append(("heard", [frame.tobytes() for frame in frames]))
        return super().features(frames)

    def update(self, frames: Frames) -> None:
        self.notes.append(("remembered", [frame.tobytes() for frame in frames]))
        super().update(frames)


@settings(max_examples=15, deadline=None)
@given(
    before_s=st.floats(0, 20),
    hop_s=st.sampled_from([0.3, 1.0, 2.6, 4.0, 9.0]),
    gate=st.sampled_from([GATE, None]),
    sizes=st.lists(st.integers(100, SECOND), min_size=1, max_size=9),
)
def test_what_is_remembered_is_remembered_once_and_in_no_window_after(
    before_s: float, hop_s: float, gate: GateSpec | None, sizes: list[int]
) -> None:
    diary = Diary()
    pcm = np.concatenate((line(before_s), caller("neutral")[: 6 * SECOND], monologue(), line(0.7)))
    # No two frames are alike then.
    pcm += np.random.default_rng(1).integers(-9, 10, len(pcm)).astype(np.int16)
    cut(pcm, chain.from_iterable(repeat(sizes)), into=cutter(gate, hop_s, diary))
    remembered: set[bytes] = set()
    for what, frames in diary.notes:
        assert remembered.isdisjoint(frames)
        if what == "remembered":
            assert 98 <= len(frames) <= SPEC.window_frames
            remembered.update(frames)
    assert len(remembered) > 15 / HOP_S


def test_a_voice_that_is_known_already_is_known_to_the_next_who_cuts_it() -> None:
    known = SpeakerBaseline(SPEC)
    first, second = caller()[: 12 * SECOND], caller("neutral")[: 12 * SECOND]
    before = cut(first, into=cutter(known=known))
    after = cut(second, into=cutter(known=known))
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


def test_of_a_model_that_is_told_nothing_of_a_voice_nothing_is_remembered() -> None:
    plain = FeatureSpec()
    into = WindowCutter(plain, GATE, FIRST_S, HOP_READ_S)
    found = cut(caller(), into=into)
    assert len(found) > 10
    assert_same(
        [
            replace(w, model_input=SpeakerBaseline(plain).features(w.model_input.frames))
            for w in found
        ],
        found,
    )


def test_a_hop_changed_under_way_counts_from_the_next_window() -> None:
    into = cutter(gate=None)
    found = into.feed(line(2))
    into.hop_s = 4.0
    found += [w for piece in pieces(line(10), repeat(SECOND)) for w in into.feed(piece)]
    assert [w.end_s for w in found] == pytest.approx([1.5, 2.5, 6.5, 10.5])


def test_without_a_gate_everything_is_one_stretch() -> None:
    pcm = line(11.3)
    found = cut(pcm, gate=None)
    whole = log_mel(pcm, SPEC)
    assert [w.end_s for w in found] == pytest.approx([1.5 + hop for hop in range(10)] + [11.3])
    assert [w.start_s for w in found] == pytest.approx([max(0, w.end_s - 7.5) for w in found])
    assert sum(w.heard_s for w in found) == pytest.approx(11.3)
    for window in found:
        start, end = hops(window)
        np.testing.assert_array_equal(window.model_input.frames, whole[start : end - 2])


@pytest.mark.parametrize("gate", [GATE, None])
def test_a_long_call_takes_no_more_memory_than_a_short_one(gate: GateSpec | None) -> None:
    into = cutter(gate)
    sizes: list[int] = []
    tracemalloc.start()
    try:
        for second, piece in enumerate(
            pieces(np.resize(monologue(), 600 * SECOND), repeat(SECOND))
        ):
            into.feed(piece)
            if second in (60, 599):
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    after_a_minute, after_ten = sizes
    assert after_ten - after_a_minute < 50_000
    assert into.position_s == 600
    assert into.speech_s > 500


@pytest.mark.parametrize("pcm", [np.zeros(80, np.float32), np.zeros((80, 1), np.int16)])
def test_other_than_a_track_of_int16_is_refused(pcm: Pcm) -> None:
    with pytest.raises(TypeError, match="expected int16"):
        cutter().feed(pcm)
