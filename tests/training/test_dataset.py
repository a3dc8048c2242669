import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.audio import Pcm, resample
from model.features import FeatureSpec, Frames, log_mel, normalise
from model.gate import GateSpec, speech_spans
from model.labels import EMOTIONS, STYLES, Emotion
from training.augment import CLEAN, TELEPHONE, Line, MaskSpec
from training.dataset import (
    Batch,
    Dataset,
    FeatureCache,
    RecordingError,
    read_recording,
    speech_frames,
)
from training.manifest import Utterance

SPEC = FeatureSpec()
GATE = GateSpec()
UNMASKED = MaskSpec(bands=0, times=0)
WHOLE = 10_000  # frames: more than any utterance, so that nothing is cut


def build(utterances: Sequence[Utterance], folder: Path, line: Line = CLEAN) -> FeatureCache:
    return FeatureCache.build(utterances, line, SPEC, GATE, folder)


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


def test_the_cache_holds_every_utterance_s_frames(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    cache = build(utterances[30:50], tmp_path, TELEPHONE)
    assert len(cache) == 20
    for index, utterance in enumerate(utterances[30:50]):
        expected = speech_frames(utterance.path, TELEPHONE, SPEC, GATE)
        np.testing.assert_array_equal(cache[index], expected)


def test_the_cache_is_made_once_and_then_read(utterances: list[Utterance], tmp_path: Path) -> None:
    mine = copied(utterances[:3], tmp_path / "recordings")
    made = build(mine, tmp_path / "cache")
    for utterance in mine:
        utterance.path.unlink()
    read = build(mine, tmp_path / "cache")
    for index in range(3):
        np.testing.assert_array_equal(read[index], made[index])
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_whatever_changes_the_frames_has_a_cache_of_its_own(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    few = utterances[:2]
    build(few, tmp_path)
    for number, (listed, line, spec, gate) in enumerate(
        [
            (few, TELEPHONE, SPEC, GATE),
            (few, Line(speed=1.1), SPEC, GATE),
            (few, CLEAN, FeatureSpec(log_floor=4.0), GATE),
            (few, CLEAN, SPEC, GateSpec(aggressiveness=1)),
            (few[::-1], CLEAN, SPEC, GATE),
            (few[:1], CLEAN, SPEC, GATE),
        ],
        start=2,
    ):
        cache = FeatureCache.build(listed, line, spec, gate, tmp_path)
        assert len(list(tmp_path.glob("*.offsets.npy"))) == number
        for index, utterance in enumerate(listed):
            expected = speech_frames(utterance.path, line, spec, gate)
            np.testing.assert_array_equal(cache[index], expected)


def test_a_making_that_fails_leaves_nothing_to_be_taken_for_whole(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    mine = copied(utterances[:3], tmp_path / "recordings")
    whole = mine[1].path.read_bytes()
    mine[1].path.write_bytes(b"no sound")
    with pytest.raises(RecordingError, match=str(mine[1].path)):
        build(mine, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    mine[1].path.write_bytes(whole)
    np.testing.assert_array_equal(
        build(mine, tmp_path / "cache")[1], speech_frames(mine[1].path, CLEAN, SPEC, GATE)
    )


def test_a_making_killed_while_it_wrote_is_begun_again(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    expected = [np.array(frames) for frames in _frames(build(utterances[:3], tmp_path))]
    (offsets,) = tmp_path.glob("*.offsets.npy")
    (frames,) = set(tmp_path.iterdir()) - {offsets}
    os.truncate(frames, 1000)
    frames.rename(frames.with_suffix(".part.npy"))  # offsets there, frames half written
    again = build(utterances[:3], tmp_path)
    for index in range(3):
        np.testing.assert_array_equal(again[index], expected[index])


def _frames(cache: FeatureCache) -> list[Frames]:
    return [cache[index] for index in range(len(cache))]


# ---- batches -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(utterances: list[Utterance], cache: Path) -> Dataset:
    return Dataset(utterances, [CLEAN, TELEPHONE], SPEC, GATE, cache)


def epoch(data: Dataset, seed: int, cap: int = 1000, least_frames: int = WHOLE) -> list[Batch]:
    return data.epoch(8, least_frames, cap, UNMASKED, np.random.default_rng(seed))


def rows_of(batches: list[Batch]) -> list[int]:
    return [int(row) for batch in batches for row in batch.rows]


def is_labelled_and_padded(batch: Batch, utterances: list[Utterance]) -> bool:
    assert batch.frames.shape == (len(batch.rows), int(batch.lengths.max()), SPEC.n_mels)
    for row, frames, length, emotion, style in zip(
        batch.rows, batch.frames, batch.lengths, batch.emotion, batch.style, strict=True
    ):
        assert EMOTIONS[emotion] == utterances[row].emotion
        assert STYLES[style] == utterances[row].style
        assert frames[length - 1].abs().sum() > 0
        assert frames[length:].abs().sum() == 0
    return True


def test_an_epoch_has_every_utterance_once(data: Dataset, utterances: list[Utterance]) -> None:
    batches = epoch(data, 0)
    assert sorted(rows_of(batches)) == list(range(len(utterances)))
    assert [len(batch.rows) for batch in batches].count(8) == len(utterances) // 8
    assert all(is_labelled_and_padded(batch, utterances) for batch in batches)


def test_an_epoch_is_reproducible_from_its_seed(data: Dataset) -> None:
    for one, other in zip(epoch(data, 5, 1, 20), epoch(data, 5, 1, 20), strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        assert one.frames.equal(other.frames)
        assert one.lengths.equal(other.lengths)
        assert one.emotion.equal(other.emotion)
        assert one.style.equal(other.style)
    assert rows_of(epoch(data, 5)) != rows_of(epoch(data, 6))


def test_an_epoch_draws_the_line_of_each_utterance(
    data: Dataset, utterances: list[Utterance]
) -> None:
    drawn: Counter[str] = Counter()
    for batch in epoch(data, 1):
        for row, frames, length in zip(batch.rows, batch.frames, batch.lengths, strict=True):
            for name, line in (("clean", CLEAN), ("telephone", TELEPHONE)):
                whole = speech_frames(utterances[row].path, line, SPEC, GATE)
                if len(whole) == length and np.array_equal(frames[:length], normalise(whole, SPEC)):
                    drawn[name] += 1
    assert drawn.total() == len(utterances)
    assert min(drawn.values()) > len(utterances) / 4


def test_an_epoch_cuts_anew(data: Dataset) -> None:
    def lengths(seed: int) -> dict[int, int]:
        batches = epoch(data, seed, least_frames=20)
        return {row: n for b in batches for row, n in zip(b.rows, b.lengths.tolist(), strict=True)}

    one, other = lengths(1), lengths(2)
    assert sum(one[row] != other[row] for row in one) > len(one) / 4
    assert min(one.values()) >= 20


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
    assert set(rows_of(epoch(data, 0, 1))) != set(rows_of(epoch(data, 1, 1)))


def test_in_order_has_every_utterance_once_and_uncut(
    data: Dataset, utterances: list[Utterance]
) -> None:
    batches = list(data.in_order(7, line=1))
    assert sorted(rows_of(batches)) == list(range(len(utterances)))
    for batch in batches:
        assert is_labelled_and_padded(batch, utterances)
        for row, frames, length in zip(batch.rows, batch.frames, batch.lengths, strict=True):
            whole = normalise(speech_frames(utterances[row].path, TELEPHONE, SPEC, GATE), SPEC)
            np.testing.assert_array_equal(frames[:length], whole)


def test_only_the_first_seven_and_a_half_seconds_are_heard(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.flac", voice(9.0), 8000)
    long = replace(utterances[0], path=tmp_path / "long.flac", emotion=Emotion.SADNESS)
    data = Dataset([long], [CLEAN], SPEC, GATE, tmp_path / "cache")
    (batch,) = data.in_order(4)
    whole = speech_frames(long.path, CLEAN, SPEC, GATE)
    assert len(whole) > SPEC.window_frames
    assert batch.lengths.tolist() == [SPEC.window_frames]
    np.testing.assert_array_equal(batch.frames[0], normalise(whole[: SPEC.window_frames], SPEC))
    for seed in range(10):
        (cut,) = epoch(data, seed, least_frames=100)
        assert 100 <= int(cut.lengths) <= SPEC.window_frames
