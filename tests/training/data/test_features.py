import contextlib
import fcntl
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.functionals import functionals
from model.gate import GateSpec
from tests.limits import ENOUGH_S
from tests.training.data.examples import CUT, PREPARATIONS, build
from training.data.channel import CLEAN, TELEPHONE, Channel
from training.data.features import FeatureCache, Preparation
from training.data.manifest import Utterance
from training.data.recordings import RecordingError, speech_frames


def assert_fresh(
    cache: FeatureCache,
    utterances: Sequence[Utterance],
    channel: Channel = CLEAN,
    preparation: Preparation = CUT,
) -> None:
    """Asserts that the cache equals, bit for bit, features that are extracted now."""
    assert len(cache) == len(utterances)
    for row, utterance in enumerate(utterances):
        frames = speech_frames(utterance.path, channel, preparation.spec, preparation.gate)
        assert cache.spans[row, 0].tolist() == [0, min(len(frames), preparation.spec.window_frames)]
        assert len(cache.spans[row]) == 1 + preparation.cuts
        for cut, (start, end) in enumerate(cache.spans[row]):
            np.testing.assert_array_equal(cache.frames(row, cut), frames[start:end])
            np.testing.assert_array_equal(
                cache.functionals[row, cut], functionals(frames[start:end], preparation.spec)
            )


def copied(utterances: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """Returns the same utterances as files that a test may change."""
    folder.mkdir()
    mine = []
    for number, utterance in enumerate(utterances):
        path = folder / f"{number}.flac"
        path.write_bytes(utterance.path.read_bytes())
        mine.append(replace(utterance, path=path))
    return mine


@pytest.mark.parametrize("preparation", PREPARATIONS.values(), ids=PREPARATIONS)
def test_cached_features_equal_fresh_ones(
    utterances: list[Utterance], tmp_path: Path, preparation: Preparation
) -> None:
    some = utterances[30:50]
    assert_fresh(build(some, tmp_path, TELEPHONE, preparation), some, TELEPHONE, preparation)


@pytest.mark.parametrize("least_s", [0.1, 0.3, 5.0])
def test_cuts_lie_within_the_utterance_and_are_as_long_as_asked(
    utterances: list[Utterance], tmp_path: Path, least_s: float
) -> None:
    cache = build(utterances[:12], tmp_path, preparation=replace(CUT, cuts=20, least_s=least_s))
    ends = cache.spans[:, :1, 1]  # (N, 1)
    lengths = np.ptp(cache.spans[:, 1:], axis=2)
    assert (lengths >= np.minimum(round(least_s * 100), ends)).all()
    assert (cache.spans[..., 0] >= 0).all()
    assert (cache.spans[..., 1] <= ends).all()
    assert (lengths < ends).mean() > 0.5 or least_s == 5.0


def test_features_are_extracted_once_and_then_read(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    mine = copied(utterances[:3], tmp_path / "recordings")
    extracted = build(mine, tmp_path / "cache")
    for utterance in mine:
        utterance.path.unlink()
    read = build(mine, tmp_path / "cache")
    np.testing.assert_array_equal(read.spans, extracted.spans)
    np.testing.assert_array_equal(read.functionals, extracted.functionals)
    for row in range(3):
        for cut in range(1 + CUT.cuts):
            np.testing.assert_array_equal(read.frames(row, cut), extracted.frames(row, cut))
    assert len(list((tmp_path / "cache").glob("*.npy"))) == len(FeatureCache.ARRAYS)


def test_each_setting_that_changes_the_features_has_its_own_files(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    few = utterances[:2]
    build(few, tmp_path)
    for number, (listed, channel, preparation) in enumerate(
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
        cache = build(listed, tmp_path, channel, preparation)
        assert len(list(tmp_path.glob("*.offsets.npy"))) == number
        assert_fresh(cache, listed, channel, preparation)


def test_no_utterances_give_empty_arrays(tmp_path: Path) -> None:
    for preparation in PREPARATIONS.values():
        assert_fresh(build([], tmp_path, preparation=preparation), [], preparation=preparation)


def test_a_failed_extraction_leaves_no_arrays(utterances: list[Utterance], tmp_path: Path) -> None:
    mine = copied(utterances[:3], tmp_path / "recordings")
    whole = mine[1].path.read_bytes()
    mine[1].path.write_bytes(b"no sound")
    with pytest.raises(RecordingError, match=str(mine[1].path)):
        build(mine, tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.npy")) == []
    mine[1].path.write_bytes(whole)
    assert_fresh(build(mine, tmp_path / "cache"), mine)


@pytest.mark.parametrize("written", range(len(FeatureCache.ARRAYS)))
def test_an_extraction_killed_while_writing_is_repeated(
    utterances: list[Utterance], tmp_path: Path, written: int
) -> None:
    """So many arrays are complete, the next one is truncated, the others are missing."""
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


def test_of_two_processes_only_one_extracts_the_features(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    few, forked = utterances[:10], multiprocessing.get_context("fork")
    cache, outputs = tmp_path / "cache", [tmp_path / "one.txt", tmp_path / "other.txt"]
    both_started = forked.Barrier(2)

    def read(output: Path) -> None:
        with output.open("w") as file, contextlib.redirect_stderr(file):
            both_started.wait(ENOUGH_S)
            assert_fresh(build(few, cache), few)

    processes = [forked.Process(target=read, args=(output,)) for output in outputs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    extracted = ["features" in output.read_text() for output in outputs]
    assert sorted(extracted) == [False, True]


def test_the_lock_ends_with_a_killed_process(utterances: list[Utterance], tmp_path: Path) -> None:
    few, forked = utterances[:2], multiprocessing.get_context("fork")
    build(few, tmp_path)
    (lock,) = tmp_path.glob("*.lock")
    locked = forked.Event()

    def lock_forever() -> None:
        with lock.open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            locked.set()
            signal.pause()

    owner, other = (
        forked.Process(target=lock_forever),
        forked.Process(target=build, args=(few, tmp_path)),
    )
    owner.start()
    assert locked.wait(ENOUGH_S)
    other.start()
    other.join(0.5)
    assert other.is_alive()
    owner.kill()
    other.join(60)
    assert other.exitcode == 0
    owner.join()
