import tracemalloc
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio import SAMPLE_RATE, Pcm
from model.features import log_mel
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, SpeechGate, speech_spans
from service.calls.windows import SHORTEST_S
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
from training.data.channel import CLEAN
from training.data.recordings import speech_frames


@settings(max_examples=20, deadline=None)
@given(
    start=st.integers(0, 30 * SECOND),
    sizes=st.lists(st.integers(100, SECOND), min_size=1, max_size=20),
)
def test_the_windows_of_a_call_are_the_same_for_any_chunking(start: int, sizes: list[int]) -> None:
    pcm = np.concatenate(
        (caller()[start : start + 6 * SECOND], monologue()[: 9 * SECOND], silence(1))
    )
    assert_same(cut(pcm, chain.from_iterable(repeat(sizes))), cut(pcm))


@pytest.mark.parametrize("samples", [1, 7, 80, 160, 199])
def test_the_windows_of_a_call_are_the_same_for_tiny_pieces(samples: int) -> None:
    pcm = np.concatenate((caller()[2 * SECOND : 7 * SECOND], silence(0.7)))
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
    # Training takes an utterance whole if its gate finds no speech; this gate never does.
    whole = GateSpec(lively_db=1000)
    pcm = np.concatenate((caller()[: 8 * SECOND], monologue(), silence(1)))
    found = cut(pcm)
    assert max(len(w.model_input.frames) for w in found) == SPEC.window_frames
    for window in found:
        start, end = hops(window)
        path = tmp_path / f"{end}.wav"
        soundfile.write(path, pcm[start * HOP_SAMPLES : end * HOP_SAMPLES], SAMPLE_RATE)
        trained = speech_frames(path, CLEAN, SPEC, whole)
        # An utterance has no sample before its first, so its first frame is emphasised differently.
        np.testing.assert_array_equal(window.model_input.frames[1:], trained[1:])


@pytest.mark.parametrize("pcm", [caller("neutral"), caller(), np.append(monologue(), silence(1))])
def test_the_first_window_comes_after_first_s_then_one_every_hop_and_one_at_the_end(
    pcm: Pcm,
) -> None:
    spoken = [stretch for stretch in SpeechGate(GATE).feed(pcm) if stretch]
    expected = []
    for start in dict.fromkeys(stretch.start for stretch in spoken):
        ends = [stretch.end for stretch in spoken if stretch.start == start]
        if ends[-1] - start < SHORTEST_S / HOP_S:
            continue
        due = start + round(FIRST_S / HOP_S)
        for end in ends:
            if end >= due:
                expected.append(end)
                due = end + round(WINDOW_HOP_S / HOP_S)
        if expected[-1:] != ends[-1:]:
            expected.append(ends[-1])
    assert [hops(w)[1] for w in cut(pcm)] == expected


@pytest.mark.parametrize("pcm", [caller("neutral"), caller(), np.append(monologue(), silence(1))])
def test_the_heard_s_of_a_stretchs_windows_sums_to_its_length(pcm: Pcm) -> None:
    into = cutter()
    found = [w for piece in pieces(pcm, repeat(160)) for w in into.feed(piece)] + into.end()
    spans = [s for s in speech_spans(pcm, GATE) if s.end - s.start >= SHORTEST_S / HOP_S]
    assert spans
    for span in spans:
        heard_s = sum(w.heard_s for w in of_stretch(found, span))
        assert heard_s == pytest.approx((span.end - span.start) * HOP_S)
    assert into.speech_s == pytest.approx(sum(e - s for s, e in spans) * HOP_S)
    assert into.position_s == len(pcm) / SAMPLE_RATE


def test_a_window_of_long_speech_has_its_last_7500_ms() -> None:
    found = cut(np.append(monologue(), silence(1)))
    start, _ = hops(found[0])
    assert len(found) > 15
    for window in found:
        first, last = hops(window)
        assert first == max(start, last - 750)
        assert len(window.model_input.frames) <= SPEC.window_frames


def test_the_last_window_of_long_speech_is_there_however_long_the_call_has_lasted() -> None:
    # Frames are kept in a buffer that is compacted from time to time, never too early.
    speech = np.concatenate((monologue()[: 10 * SECOND], silence(1)))
    for before_s in np.arange(0, 10.5, 0.25):
        pcm = np.append(silence(before_s), speech)
        whole = log_mel(pcm, SPEC)
        last = cut(pcm)[-1]
        start, end = hops(last)
        np.testing.assert_array_equal(last.model_input.frames, whole[start : end - 2])


@pytest.mark.parametrize("pcm", [silence(5), np.zeros(5 * SECOND, np.int16)])
def test_silence_gives_no_window(pcm: Pcm) -> None:
    into = cutter()
    assert into.feed(pcm) == []
    assert not into.speaking
    assert into.end() == []
    assert into.speech_s == 0


def test_a_blip_gives_no_window() -> None:
    blip = np.concatenate((silence(1), monologue()[SECOND // 2 : SECOND * 13 // 20], silence(1)))
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


def test_a_changed_hop_counts_from_the_next_window() -> None:
    into = cutter(gate=None)
    found = into.feed(silence(2))
    into.hop_s = 4.0
    found += [w for piece in pieces(silence(10), repeat(SECOND)) for w in into.feed(piece)]
    assert [w.end_s for w in found] == pytest.approx([1.5, 2.5, 6.5, 10.5])


def test_without_a_gate_everything_is_one_stretch() -> None:
    pcm = silence(11.3)
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
