import contextlib
import fcntl
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache as cached
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model.audio import Pcm, resample
from model.features import FeatureSpec, Frames, log_mel, normalise
from model.functionals import Functionals, functional_count, functionals
from model.gate import GateSpec, speech_spans
from model.labels import EMOTIONS, STYLES, Emotion
from training.data.channel import CLEAN, NO_MASKS, TELEPHONE, Channel, MaskSpec
from training.data.dataset import (
    Batch,
    Dataset,
    FeatureCache,
    Preparation,
    RecordingError,
    read_recording,
    speech_frames,
)
from training.data.enrolment import enrolments
from training.data.manifest import Utterance

SPEC = FeatureSpec()
GATE = GateSpec()
PLAIN = Preparation(SPEC, GATE)
LEAST_S, LEAST_FRAMES = 0.2, 20
CUT = Preparation(FeatureSpec(pitch_lags=6, functionals=True), GATE, cuts=3, least_s=LEAST_S)
MAKINGS = {"plain": PLAIN, "cut": CUT}
LINES = (CLEAN, TELEPHONE)


def build(
    utterances: Sequence[Utterance], folder: Path, line: Channel = CLEAN, making: Preparation = CUT
) -> FeatureCache:
    return FeatureCache.build(utterances, line, making, folder)


def assert_fresh(
    cache: FeatureCache,
    utterances: Sequence[Utterance],
    line: Channel = CLEAN,
    making: Preparation = CUT,
) -> None:
    """Bit for bit what is made of every utterance, of its whole and of its cuts, now."""
    assert len(cache) == len(utterances)
    for row, utterance in enumerate(utterances):
        frames = speech_frames(utterance.path, line, making.spec, making.gate)
        assert cache.spans[row, 0].tolist() == [0, min(len(frames), making.spec.window_frames)]
        assert len(cache.spans[row]) == 1 + making.cuts
        for cut, (start, end) in enumerate(cache.spans[row]):
            np.testing.assert_array_equal(cache.frames(row, cut), frames[start:end])
            np.testing.assert_array_equal(
                cache.functionals[row, cut], functionals(frames[start:end], making.spec)
            )


def copied(utterances: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """The same utterances as files that a test may change."""
    folder.mkdir()
    mine = []
    for number, utterance in enumerate(utterances):
        path = folder / f"{number}.flac"
        path.write_bytes(utterance.path.read_bytes())
        mine.append(replace(utterance, path=path))
    return mine


def voice(s: float) -> Pcm:
    """Harmonics whose pitch, level and colour move as a voice's do."""
    at_s = np.arange(round(8000 * s)) / 8000
    pitch_hz = 140 + 30 * np.sin(2 * np.pi * 0.7 * at_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 8000
    formant_hz = 600 + 300 * np.sin(2 * np.pi * 1.3 * at_s)
    wave = sum(
        (0.1 + np.exp(-(((k * pitch_hz - formant_hz) / 250) ** 2))) * np.sin(k * phase)
        for k in range(1, 20)
    )
    return np.round(3000 * wave * (0.1 + np.abs(np.sin(2 * np.pi * 2 * at_s)))).astype(np.int16)


# ---- recordings --------------------------------------------------------------------------------


def test_a_recording_is_read_at_8_khz(tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-3000, 3000, 16000).astype(np.int16)
    for rate in (8000, 16000, 48000):
        soundfile.write(tmp_path / "a.flac", pcm, rate)
        np.testing.assert_array_equal(read_recording(tmp_path / "a.flac"), resample(pcm, rate))


def test_unusable_recordings_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(RecordingError, match="a.wav"):
        read_recording(path)
    path.write_text("no sound")
    with pytest.raises(RecordingError, match="a.wav"):
        read_recording(path)
    soundfile.write(path, np.zeros((100, 2), np.int16), 8000)
    with pytest.raises(RecordingError, match=r"shape \(100, 2\), expected one channel"):
        read_recording(path)
    soundfile.write(path, np.zeros(0, np.int16), 8000)
    with pytest.raises(RecordingError, match=r"shape \(0, 1\), expected .* some samples"):
        read_recording(path)
    soundfile.write(path, np.zeros(199, np.int16), 8000)
    with pytest.raises(RecordingError, match="199 samples, expected 200 or more"):
        speech_frames(path, CLEAN, SPEC, GATE)


def test_silence_around_the_speech_is_left_out(tmp_path: Path) -> None:
    silence = np.zeros(12000, np.int16)
    pcm = np.concatenate((silence, voice(1.5), silence))
    soundfile.write(tmp_path / "a.flac", pcm, 8000)
    spans = speech_spans(pcm, GATE)
    assert spans
    frames = speech_frames(tmp_path / "a.flac", CLEAN, SPEC, GATE)
    np.testing.assert_array_equal(frames, log_mel(pcm, SPEC)[spans[0].start : spans[-1].end])
    assert 130 <= len(frames) <= 230


def test_a_recording_without_speech_is_taken_whole(tmp_path: Path) -> None:
    pcm = np.full(8000, 5, np.int16)
    assert not speech_spans(pcm, GATE)
    soundfile.write(tmp_path / "a.flac", pcm, 8000)
    assert len(speech_frames(tmp_path / "a.flac", CLEAN, SPEC, GATE)) == SPEC.frames_in(8000)


# ---- the cache ---------------------------------------------------------------------------------


@pytest.mark.parametrize("making", MAKINGS.values(), ids=MAKINGS)
def test_the_cache_holds_what_every_utterance_is(
    utterances: list[Utterance], tmp_path: Path, making: Preparation
) -> None:
    some = utterances[30:50]
    assert_fresh(build(some, tmp_path, TELEPHONE, making), some, TELEPHONE, making)


@pytest.mark.parametrize("least_s", [0.1, 0.3, 5.0])
def test_cuts_lie_within_the_utterance_and_are_as_long_as_asked(
    utterances: list[Utterance], tmp_path: Path, least_s: float
) -> None:
    cache = build(utterances[:12], tmp_path, making=replace(CUT, cuts=20, least_s=least_s))
    ends = cache.spans[:, :1, 1]  # (N, 1)
    lengths = np.ptp(cache.spans[:, 1:], axis=2)
    assert (lengths >= np.minimum(round(least_s * 100), ends)).all()
    assert (cache.spans[..., 0] >= 0).all()
    assert (cache.spans[..., 1] <= ends).all()
    assert (lengths < ends).mean() > 0.5 or least_s == 5.0


def test_the_cache_is_made_once_and_then_read(utterances: list[Utterance], tmp_path: Path) -> None:
    mine = copied(utterances[:3], tmp_path / "recordings")
    made = build(mine, tmp_path / "cache")
    for utterance in mine:
        utterance.path.unlink()
    read = build(mine, tmp_path / "cache")
    np.testing.assert_array_equal(read.spans, made.spans)
    np.testing.assert_array_equal(read.functionals, made.functionals)
    for row in range(3):
        for cut in range(1 + CUT.cuts):
            np.testing.assert_array_equal(read.frames(row, cut), made.frames(row, cut))
    assert len(list((tmp_path / "cache").glob("*.npy"))) == len(FeatureCache.ARRAYS)


def test_whatever_changes_the_frames_has_a_cache_of_its_own(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    few = utterances[:2]
    build(few, tmp_path)
    for number, (listed, line, making) in enumerate(
        [
            (few, TELEPHONE, CUT),
            (few, Channel(speed=1.1), CUT),
            (few, CLEAN, replace(CUT, spec=replace(CUT.spec, log_floor=4.0))),
            (few, CLEAN, replace(CUT, spec=replace(CUT.spec, functionals=False))),
            (few, CLEAN, replace(CUT, gate=GateSpec(aggressiveness=1))),
            (few, CLEAN, replace(CUT, cuts=1)),
            (few, CLEAN, replace(CUT, least_s=0.3)),
            (few[::-1], CLEAN, CUT),
            (few[:1], CLEAN, CUT),
        ],
        start=2,
    ):
        cache = build(listed, tmp_path, line, making)
        assert len(list(tmp_path.glob("*.offsets.npy"))) == number
        assert_fresh(cache, listed, line, making)


def test_nothing_is_made_of_nothing(tmp_path: Path) -> None:
    for making in MAKINGS.values():
        assert_fresh(build([], tmp_path, making=making), [], making=making)


def test_a_making_that_fails_leaves_nothing_to_be_taken_for_whole(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    mine = copied(utterances[:3], tmp_path / "recordings")
    whole = mine[1].path.read_bytes()
    mine[1].path.write_bytes(b"no sound")
    with pytest.raises(RecordingError, match=str(mine[1].path)):
        build(mine, tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.npy")) == []
    mine[1].path.write_bytes(whole)
    assert_fresh(build(mine, tmp_path / "cache"), mine)


@pytest.mark.parametrize("written", range(len(FeatureCache.ARRAYS)))
def test_a_making_killed_while_it_wrote_is_begun_again(
    utterances: list[Utterance], tmp_path: Path, written: int
) -> None:
    """So many arrays are whole, the next is half there, the others are not."""
    few = utterances[:3]
    build(few, tmp_path)
    half, *others = FeatureCache.ARRAYS[written:]
    (path,) = tmp_path.glob(f"*.{half}.npy")
    os.truncate(path, 100)
    path.rename(path.with_suffix(".part.npy"))
    for name in others:
        (path,) = tmp_path.glob(f"*.{name}.npy")
        path.unlink()
    assert_fresh(build(few, tmp_path), few)


def test_of_two_processes_that_want_the_same_one_makes_it_and_one_waits(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    few, forked = utterances[:10], multiprocessing.get_context("fork")
    cache, said = tmp_path / "cache", [tmp_path / "one.txt", tmp_path / "other.txt"]
    both_are_there = forked.Barrier(2)

    def want(told: Path) -> None:
        with told.open("w") as file, contextlib.redirect_stderr(file):
            both_are_there.wait(60)
            assert_fresh(build(few, cache), few)

    processes = [forked.Process(target=want, args=(told,)) for told in said]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    made = ["features" in told.read_text() for told in said]
    assert sorted(made) == [False, True]


def test_a_maker_that_is_killed_keeps_nobody_waiting(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    few, forked = utterances[:2], multiprocessing.get_context("fork")
    build(few, tmp_path)
    (lock,) = tmp_path.glob("*.lock")
    held = forked.Event()

    def hold() -> None:
        with lock.open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            held.set()
            signal.pause()

    maker, other = forked.Process(target=hold), forked.Process(target=build, args=(few, tmp_path))
    maker.start()
    assert held.wait(60)
    other.start()
    other.join(0.5)
    assert other.is_alive()
    maker.kill()
    other.join(60)
    assert other.exitcode == 0
    maker.join()


# ---- batches -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=MAKINGS)
def making(request: pytest.FixtureRequest) -> Preparation:
    return MAKINGS[request.param]


@pytest.fixture(scope="module")
def data(utterances: list[Utterance], cache: Path, making: Preparation) -> Dataset:
    return Dataset(utterances, LINES, making, cache)


@pytest.fixture(scope="module")
def with_voice(utterances: list[Utterance], cache: Path) -> Dataset:
    return Dataset(utterances, LINES, CUT, cache)


def epoch(
    data: Dataset,
    seed: int,
    cap: int = 1000,
    masks: MaskSpec = NO_MASKS,
    jitter: int = 0,
    hearings: int = 1,
) -> list[Batch]:
    return list(data.epoch(8, cap, masks, np.random.default_rng(seed), jitter, hearings))


def rows_of(batches: list[Batch]) -> list[int]:
    return [int(row) for batch in batches for row in batch.rows]


def is_labelled_and_padded(batch: Batch, data: Dataset) -> bool:
    count = len(batch.rows)
    assert batch.frames.shape == (count, int(batch.lengths.max()), data.spec.n_features)
    assert batch.functionals.shape == (count, functional_count(data.spec)) == batch.before.shape
    assert [tensor.dtype for tensor in batch.heard] == [
        torch.float32,
        torch.int64,
        *[torch.float32] * 3,
    ]
    for row, frames, length, emotion, soft, style in zip(
        batch.rows,
        batch.frames,
        batch.lengths,
        batch.emotion,
        batch.soft,
        batch.style,
        strict=True,
    ):
        utterance = data.utterances[row]
        assert EMOTIONS[emotion] == utterance.emotion
        assert STYLES[style] == utterance.style
        assert soft.tolist() == [float(label == utterance.emotion) for label in EMOTIONS]
        assert frames[length - 1].abs().sum() > 0
        assert frames[length:].abs().sum() == 0
    return True


def assert_same(one: Batch, other: Batch) -> None:
    for field in fields(Batch):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@cached
def fresh(path: Path, line: Channel, spec: FeatureSpec) -> Frames:
    return speech_frames(path, line, spec, GATE)


def whole_functionals(utterance: Utterance, line: Channel, spec: FeatureSpec) -> Functionals:
    return functionals(fresh(utterance.path, line, spec)[: spec.window_frames], spec)


Drawn = tuple[Channel, int]  # the line and the cut that an utterance came as


def drawn_of(
    batches: list[Batch], data: Dataset, cache: Path, making: Preparation
) -> list[list[Drawn]]:
    """Of each utterance of each batch."""
    spans = {line: build(data.utterances, cache, line, making).spans for line in LINES}

    def one(row: int, heard: Frames) -> Drawn:
        (came,) = {
            line: cut
            for line in LINES
            for cut, (start, end) in reversed(list(enumerate(spans[line][row])))
            if end - start == len(heard)
            for part in [fresh(data.utterances[row].path, line, making.spec)[start:end]]
            if np.array_equal(heard, normalise(part, making.spec))
        }.items()
        return came

    return [
        [
            one(row, frames[:length])
            for row, frames, length in zip(b.rows, b.frames.numpy(), b.lengths, strict=True)
        ]
        for b in batches
    ]


def test_an_epoch_has_every_utterance_once(data: Dataset, utterances: list[Utterance]) -> None:
    batches = epoch(data, 0)
    assert sorted(rows_of(batches)) == list(range(len(utterances)))
    assert [len(batch.rows) for batch in batches].count(8) == len(utterances) // 8
    assert all(is_labelled_and_padded(batch, data) for batch in batches)


def test_a_batch_of_one_is_left_out_unless_it_is_all_there_is(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    for count, sizes in ((1, [1]), (9, [8]), (10, [2, 8])):
        few = Dataset(utterances[:count], [CLEAN], PLAIN, tmp_path)
        assert sorted(len(batch.rows) for batch in epoch(few, 0)) == sizes


def test_an_epoch_is_reproducible_from_its_seed(data: Dataset) -> None:
    for one, other in zip(
        epoch(data, 5, 1, MaskSpec()), epoch(data, 5, 1, MaskSpec()), strict=True
    ):
        assert_same(one, other)
    assert rows_of(epoch(data, 5)) != rows_of(epoch(data, 6))


def test_an_epoch_draws_the_line_and_the_cut_of_each_utterance(
    data: Dataset, making: Preparation, cache: Path
) -> None:
    """Half of them whole, where there are cuts; told with the functionals of what is heard."""
    batches = [batch for seed in range(3) for batch in epoch(data, seed)]
    drawn = drawn_of(batches, data, cache, making)
    spans = {line: build(data.utterances, cache, line, making).spans for line in LINES}
    for batch, came in zip(batches, drawn, strict=True):
        for row, told, (line, cut) in zip(batch.rows, batch.functionals, came, strict=True):
            start, end = spans[line][row, cut]
            part = fresh(data.utterances[row].path, line, making.spec)[start:end]
            np.testing.assert_array_equal(told, functionals(part, making.spec))
    lines = Counter(line for came in drawn for line, _ in came)
    cuts = Counter(cut for came in drawn for _, cut in came)
    assert cuts.total() == 3 * len(data)
    assert min(lines[line] for line in LINES) > 0.4 * cuts.total()
    assert cuts[0] == pytest.approx(cuts.total() / (2 if making.cuts else 1), rel=0.2)
    assert set(cuts) == set(range(1 + making.cuts))


def test_masks_are_put_on_the_frames_alone(data: Dataset) -> None:
    masked_frames = 0
    for one, other in zip(epoch(data, 2), epoch(data, 2, masks=MaskSpec()), strict=True):
        gone = other.frames == 0
        assert other.frames[~gone].equal(one.frames[~gone])
        masked_frames += int((gone & (one.frames != 0)).any(2).sum())
        assert_same(replace(one, frames=other.frames), other)
    assert masked_frames > 0


def test_an_utterance_is_heard_twice_over_lines_of_their_own(
    data: Dataset, making: Preparation, cache: Path
) -> None:
    """The same cut with the same past, so that nothing but the line can tell them apart."""
    once = list(epoch(data, 2))
    lines = []
    for batch in epoch(data, 2, hearings=2):
        first, second = np.split(batch.rows, 2)
        np.testing.assert_array_equal(first, second)
        count, again = (x.chunk(2) for x in (batch.utterances, batch.emotion))
        assert count[0].equal(count[1])
        assert again[0].equal(again[1])
        came = drawn_of([batch], data, cache, making)[0]
        for (line, cut), (other, same) in zip(came[: len(first)], came[len(first) :], strict=True):
            assert cut == same
            lines.append((line, other))
    assert len(lines) == sum(len(batch.rows) for batch in once)
    assert len(set(lines)) == len(LINES) ** 2


def test_jitter_takes_so_many_frames_of_either_end_at_most(data: Dataset) -> None:
    less = [
        int(length - shorter)
        for seed in range(5)
        for whole, jittered in zip(epoch(data, seed), epoch(data, seed, jitter=3), strict=True)
        for length, shorter in zip(whole.lengths, jittered.lengths, strict=True)
    ]
    assert set(less) == set(range(7))


def test_like_lengths_are_together(data: Dataset) -> None:
    spans = sorted((int(batch.lengths.min()), int(batch.lengths.max())) for batch in epoch(data, 3))
    assert all(before[1] <= after[0] for before, after in zip(spans[:-1], spans[1:], strict=True))


def test_batches_do_not_come_by_length(data: Dataset) -> None:
    longest = [int(batch.lengths.max()) for batch in epoch(data, 3)]
    assert longest != sorted(longest)


@pytest.mark.parametrize("cap", [1, 2])
def test_an_epoch_has_so_many_of_a_speaker_and_emotion_at_most(
    data: Dataset, utterances: list[Utterance], cap: int
) -> None:
    """Speakers of the same name in two corpora are two speakers."""
    taken = Counter(
        (utterances[row].corpus, utterances[row].speaker, utterances[row].emotion)
        for row in rows_of(epoch(data, 0, cap))
    )
    groups = {(u.corpus, u.speaker, u.emotion) for u in utterances}
    assert taken == Counter(dict.fromkeys(groups, cap))
    assert data.drawn(cap) == cap * len(groups)
    assert set(rows_of(epoch(data, 0, 1))) != set(rows_of(epoch(data, 1, 1)))


def test_without_speakers_an_epoch_has_so_many_of_a_recording_and_emotion_at_most(
    utterances: list[Utterance], cache: Path
) -> None:
    unknown = [replace(u, speaker="", recording=f"call of {u.speaker}") for u in utterances]
    data = Dataset(unknown, LINES, CUT, cache)
    taken = Counter(
        (unknown[row].corpus, unknown[row].recording, unknown[row].emotion)
        for row in rows_of(epoch(data, 0, 1))
    )
    assert taken == Counter(dict.fromkeys({(u.corpus, u.recording, u.emotion) for u in unknown}, 1))
    assert data.drawn(1) == len(taken)

    alone = Dataset([replace(u, recording="") for u in unknown], LINES, CUT, cache)
    assert sorted(rows_of(epoch(alone, 0, 1))) == list(range(len(utterances)))
    assert alone.drawn(1) == len(utterances)


def test_annotators_votes_come_along_where_they_are_known(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    votes = (0.5, 0.0, 0.25, 0.25)
    few = [replace(utterances[0], soft=votes), utterances[1]]
    for batch in (
        *Dataset(few, [CLEAN], PLAIN, tmp_path).in_order(2),
        *epoch(Dataset(few, [CLEAN], PLAIN, tmp_path), 0),
    ):
        soft = dict(zip(batch.rows.tolist(), batch.soft.tolist(), strict=True))
        assert soft[0] == list(votes)
        assert soft[1] == [float(emotion == few[1].emotion) for emotion in EMOTIONS]


def test_in_order_has_every_utterance_once_and_uncut(data: Dataset) -> None:
    batches = list(data.in_order(7, line=1))
    assert sorted(rows_of(batches)) == list(range(len(data)))
    for batch in batches:
        assert is_labelled_and_padded(batch, data)
        for row, frames, length, told in zip(
            batch.rows, batch.frames, batch.lengths, batch.functionals, strict=True
        ):
            whole = fresh(data.utterances[row].path, TELEPHONE, data.spec)
            np.testing.assert_array_equal(frames[:length], normalise(whole, data.spec))
            np.testing.assert_array_equal(told, functionals(whole, data.spec))
        assert batch.before.count_nonzero() == batch.utterances.count_nonzero() == 0


def test_only_the_first_seven_and_a_half_seconds_are_heard(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.flac", voice(9.0), 8000)
    long = replace(utterances[0], path=tmp_path / "long.flac", emotion=Emotion.SADNESS)
    making = replace(PLAIN, cuts=3, least_s=1.0)
    data = Dataset([long], [CLEAN], making, tmp_path / "cache")
    (batch,) = data.in_order(4)
    whole = speech_frames(long.path, CLEAN, SPEC, GATE)
    assert len(whole) > SPEC.window_frames
    assert batch.lengths.tolist() == [SPEC.window_frames]
    np.testing.assert_array_equal(batch.frames[0], normalise(whole[: SPEC.window_frames], SPEC))
    lengths = [int(cut.lengths) for seed in range(20) for cut in epoch(data, seed)]
    assert len(set(lengths)) == 1 + making.cuts
    assert 100 <= min(lengths) < max(lengths) == SPEC.window_frames


# ---- what the caller said before -----------------------------------------------------------------


@pytest.mark.parametrize("line", [0, 1])
@pytest.mark.parametrize("known", ["utterance", "caller", "speaker"])
def test_in_order_knows_the_mean_of_what_was_said_before(
    with_voice: Dataset, utterances: list[Utterance], known: str, line: int
) -> None:
    """Of the whole utterances, as they come over the same line."""
    expected = enrolments(utterances, known, 3)
    for batch in with_voice.in_order(9, line, known, seed=3):
        for row, before, count in zip(batch.rows, batch.before, batch.utterances, strict=True):
            assert count == len(expected[row])
            own = [whole_functionals(utterances[r], LINES[line], CUT.spec) for r in expected[row]]
            mean = np.mean(own, axis=0) if own else np.zeros(len(before))
            np.testing.assert_allclose(before, mean, rtol=1e-4, atol=1e-5)
    counts = {len(past) for past in expected}
    assert counts == {"utterance": {0}, "caller": {1, 2}, "speaker": {8}}[known]


def test_an_epoch_draws_what_was_said_before(utterances: list[Utterance], cache: Path) -> None:
    """With two utterances a voice that is nothing, the other one several times, or both."""
    pairs = [u for u in utterances if u.path.stem.endswith(("anger-0", "neutral-0"))]
    data = Dataset(pairs, LINES, CUT, cache)
    batches = [batch for seed in range(5) for batch in epoch(data, seed)]
    kinds = set()
    for batch, came in zip(batches, drawn_of(batches, data, cache, CUT), strict=True):
        for row, before, count, (line, _) in zip(
            batch.rows, batch.before, batch.utterances, came, strict=True
        ):
            voice = (pairs[row].corpus, pairs[row].speaker)
            both = [r for r, u in enumerate(pairs) if (u.corpus, u.speaker) == voice]
            mine, other = (
                whole_functionals(pairs[r], line, CUT.spec) for r in (row, sum(both) - row)
            )
            (kind,) = (
                kind
                for kind, mean in (
                    ("nothing", 0 * mine),
                    ("other", other),
                    ("both", (mine + other) / 2),
                )
                if np.allclose(before, mean, rtol=1e-4, atol=1e-4)
            )
            possible = {"nothing": {0}, "other": set(range(1, 9)), "both": {2}}
            assert int(count) in possible[kind]
            kinds.add(kind)
    assert kinds == {"nothing", "other", "both"}


def test_without_functionals_nothing_is_told_of_before(
    utterances: list[Utterance], cache: Path
) -> None:
    data = Dataset(utterances, LINES, PLAIN, cache)
    for batch in (*epoch(data, 0), *data.in_order(8, known="caller")):
        assert batch.functionals.shape == batch.before.shape == (len(batch.rows), 0)
        assert batch.utterances.count_nonzero() == 0


def test_voices_are_their_mean_and_the_spread_within_one(
    with_voice: Dataset, utterances: list[Utterance]
) -> None:
    mean, spread = with_voice.voices()
    whole = np.array(
        [[whole_functionals(u, line, CUT.spec) for u in utterances] for line in LINES], np.float64
    )  # (lines, N, F)
    voices = [(u.corpus, u.speaker) for u in utterances]
    within = [
        whole[:, [row for row, v in enumerate(voices) if v == voice]].reshape(-1, len(mean)).std(0)
        for voice in set(voices)
    ]
    np.testing.assert_allclose(mean, whole.mean((0, 1)), rtol=1e-4, atol=1e-4)
    expected = np.sqrt(np.mean(np.square(within), axis=0))
    np.testing.assert_allclose(spread, expected, rtol=1e-3, atol=2e-3)
    assert mean.dtype == spread.dtype == np.float32
    assert (spread > 0).all()
    assert (spread < whole.reshape(-1, len(mean)).std(0) + 2e-3).all()
