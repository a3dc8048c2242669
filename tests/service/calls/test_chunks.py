"""The chunks of a live call are those into which training cuts the same stretches."""

from collections.abc import Iterator
from itertools import chain, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio import Pcm
from model.chunked_input import Chunk, ChunkedInput
from model.embedding import EmbeddingSpec, Span
from model.encoder_frames import encoder_frames
from model.features import Frames
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, Stretch, speech_spans
from model.speech_check_file import load_check
from service.calls.windows import Window, WindowCutter
from tests.encoded_model import window_of
from tests.service.calls.cutting import (
    FIRST_S,
    GATE,
    SECOND,
    WINDOW_HOP_S,
    caller,
    cut,
    hops,
    monologue,
    of_stretch,
    silence,
)

CHECK = load_check()
SPEC = EmbeddingSpec()


def cutter(
    gate: GateSpec | None = GATE, hop_s: float = WINDOW_HOP_S, first_s: float = FIRST_S
) -> WindowCutter:
    return WindowCutter(CHECK.spec, gate, first_s, hop_s, embedding=SPEC)


def chunked(window: Window) -> ChunkedInput:
    assert isinstance(window.model_input, ChunkedInput)
    return window.model_input


def chunks(window: Window) -> list[Chunk]:
    return list(chunked(window).chunks)


def trained(pcm: Pcm, start: int, spans: list[Span]) -> list[Frames]:
    """Returns the frames of chunks as training makes them of a stretch that begins at a hop."""
    return [
        encoder_frames(
            pcm[(start + first) * HOP_SAMPLES : (start + last) * HOP_SAMPLES], SPEC.frames
        )
        for first, last in spans
    ]


def speech(before_s: float = 0.4) -> Pcm:
    return np.concatenate((silence(before_s), caller()[: 12 * SECOND], monologue(), silence(1)))


def assert_same_chunks(ours: list[Window], theirs: list[Window]) -> None:
    assert [(w.start_s, w.end_s, w.heard_s) for w in ours] == [
        (w.start_s, w.end_s, w.heard_s) for w in theirs
    ]
    for mine, other in zip(ours, theirs, strict=True):
        for one, two in zip(chunks(mine), chunks(other), strict=True):
            np.testing.assert_array_equal(one.frames(SPEC), two.frames(SPEC))
        utterances = [list(u.waiting) for u in chunked(mine).utterances]
        for one_utterance, two_utterance in zip(
            utterances, [list(u.waiting) for u in chunked(other).utterances], strict=True
        ):
            for one, two in zip(one_utterance, two_utterance, strict=True):
                np.testing.assert_array_equal(one.frames(SPEC), two.frames(SPEC))


def stretches(pcm: Pcm) -> Iterator[tuple[Stretch, list[Window]]]:
    found = cut(pcm, into=cutter())
    for stretch in speech_spans(pcm, GATE):
        if windows := of_stretch(found, stretch):
            yield stretch, windows


def test_every_window_is_the_last_chunks_of_its_stretch_as_training_cuts_it() -> None:
    pcm = speech()
    seen = 0
    for stretch, windows in stretches(pcm):
        for window in windows:
            start, end = hops(window)
            spans = window_of(SPEC, SPEC.chunk_spans(end - stretch.start))
            assert start == stretch.start + spans[0].start
            expected = trained(pcm, stretch.start, spans)
            for chunk, frames in zip(chunks(window), expected, strict=True):
                np.testing.assert_array_equal(chunk.frames(SPEC), frames)
            seen += 1
        assert hops(windows[-1])[1] == stretch.end
    assert seen > 30


def test_windows_end_with_the_chunks_and_share_them() -> None:
    for stretch, windows in stretches(speech()):
        for window in windows[:-1]:
            end = hops(window)[1] - stretch.start
            assert SPEC.boundary_before(end) == end
        made = [chunk for window in windows for chunk in chunks(window)]
        spans = SPEC.chunk_spans(stretch.end - stretch.start)
        # One more where the last chunk was made again with the rest.
        assert len(set(made)) - len(spans) in (0, 1)
        assert sum(chunk.hops for chunk in chunks(windows[-1])) <= 750


def test_a_short_rest_is_joined_to_the_chunk_before() -> None:
    ends = [monologue()[: 3 * SECOND + n * SECOND // 10] for n in range(10)]
    joined = [
        windows
        for stretch, windows in chain(*(stretches(np.append(pcm, silence(1))) for pcm in ends))
        if len(windows) > 1 and 0 < stretch.end - hops(windows[-2])[1] < SPEC.least_hops
    ]
    assert joined
    for windows in joined:
        before, after = chunks(windows[-2])[-1], chunks(windows[-1])[-1]
        assert after.hops == before.hops + hops(windows[-1])[1] - hops(windows[-2])[1]
        shared = after.frames(SPEC)[: before.hops - 3]
        assert np.abs(shared - before.frames(SPEC)[:-3]).max() < 2  # of the same speech
        assert chunks(windows[-1])[-2:-1] == chunks(windows[-2])[-2:-1]


@settings(max_examples=10, deadline=None)
@given(start=st.integers(0, SECOND), sizes=st.lists(st.integers(100, SECOND), min_size=1))
def test_chunks_are_the_same_however_the_audio_comes_in(start: int, sizes: list[int]) -> None:
    pcm = speech()[start : 16 * SECOND]
    whole = cut(pcm, into=cutter())
    assert_same_chunks(cut(pcm, chain.from_iterable(repeat(sizes)), into=cutter()), whole)


def test_tiny_pieces_change_nothing() -> None:
    pcm = speech()[: 9 * SECOND]
    assert_same_chunks(cut(pcm, repeat(160), into=cutter()), cut(pcm, into=cutter()))


@pytest.mark.parametrize("first_s", [0.5, 1.5, 4.0])
@pytest.mark.parametrize("hop_s", [0.25, 1.0, 2.6, 9.0])
def test_other_times_take_the_next_chunk_and_leave_the_chunks_as_they_are(
    first_s: float, hop_s: float
) -> None:
    pcm = np.append(monologue(), silence(1))
    [stretch] = speech_spans(pcm, GATE)
    ends = [hops(w)[1] - stretch.start for w in cut(pcm, into=cutter(None, hop_s, first_s))]
    first = SPEC.boundary_after(round(first_s / HOP_S))
    step = max(100, -(-round(hop_s / HOP_S) // 100) * 100)
    whole = len(pcm) // HOP_SAMPLES
    cut_ends = [*range(first, whole, step)]
    assert ends[:-1] == [end - stretch.start for end in cut_ends]
    for window in cut(pcm, into=cutter(None, hop_s, first_s)):
        spans = window_of(SPEC, SPEC.chunk_spans(hops(window)[1]))
        for chunk, frames in zip(chunks(window), trained(pcm, 0, spans), strict=True):
            np.testing.assert_array_equal(chunk.frames(SPEC), frames)


def test_of_speech_without_a_pause_15_s_are_kept() -> None:
    endless = cutter(None)
    windows: list[Window] = []
    for _ in range(5):
        for start in range(0, len(monologue()), SECOND):
            windows = endless.feed(monologue()[start : start + SECOND]) or windows
    assert sum(chunk.hops for chunk in endless._grid.chunks(0, 10**6)) <= 1500
    assert sum(chunk.hops for chunk in chunks(windows[-1])) == 700


def test_the_baseline_is_made_of_whole_chunks_that_are_in_no_window_after() -> None:
    pcm = speech()
    found = cut(pcm, into=cutter())
    for window in found:
        taken = [c for utterance in chunked(window).utterances for c in utterance.waiting]
        assert len(taken) == len(set(taken))
        assert set(taken).isdisjoint(chunks(window))
    last = chunked(found[-1]).utterances
    lengths = [sum(chunk.hops for chunk in utterance.waiting) for utterance in last]
    assert len(lengths) == 8
    assert all(100 <= length <= 750 for length in lengths)


def test_a_gap_begins_a_new_grid() -> None:
    into = cutter()
    windows = [w for n in range(5) for w in into.feed(monologue()[n * SECOND :][:SECOND])]
    windows += into.skip(12_345)
    after = [w for n in range(9, 14) for w in into.feed(monologue()[n * SECOND :][:SECOND])]
    assert chunks(after[0])[0].hops == SPEC.first_hops
    assert after[0].start_s > 6.5
    assert set(chunks(after[0])).isdisjoint(c for w in windows for c in chunks(w))
