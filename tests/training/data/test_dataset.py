from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model.features import normalise
from model.functionals import functional_count, functionals
from model.labels import EMOTIONS, STYLES, Emotion
from tests.training.data.examples import (
    CHANNELS,
    CUT,
    GATE,
    PLAIN,
    PREPARATIONS,
    SPEC,
    build,
    drawn_examples,
    epoch,
    fresh,
    rows_of,
    voice,
)
from training.data.augmentation import MaskSpec
from training.data.channel import CLEAN, TELEPHONE
from training.data.dataset import Batch, Dataset
from training.data.features import Preparation
from training.data.manifest import Utterance
from training.data.recordings import speech_frames


@pytest.fixture(scope="module", params=PREPARATIONS)
def preparation(request: pytest.FixtureRequest) -> Preparation:
    return PREPARATIONS[request.param]


@pytest.fixture(scope="module")
def data(utterances: list[Utterance], cache: Path, preparation: Preparation) -> Dataset:
    return Dataset(utterances, CHANNELS, preparation, cache)


def is_labelled_and_padded(batch: Batch, data: Dataset) -> bool:
    count = len(batch.rows)
    assert batch.frames.shape == (count, int(batch.lengths.max()), data.spec.n_features)
    assert batch.functionals.shape == (count, functional_count(data.spec)) == batch.baseline.shape
    assert [tensor.dtype for tensor in batch.inputs] == [
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


def test_an_epoch_draws_the_channel_and_the_cut_of_each_utterance(
    data: Dataset, preparation: Preparation, cache: Path
) -> None:
    """Half of them are whole, if there are cuts; the functionals are those of the drawn cut."""
    batches = [batch for seed in range(3) for batch in epoch(data, seed)]
    drawn = drawn_examples(batches, data, cache, preparation)
    spans = {
        channel: build(data.utterances, cache, channel, preparation).spans for channel in CHANNELS
    }
    for batch, examples in zip(batches, drawn, strict=True):
        for row, found, (channel, cut) in zip(batch.rows, batch.functionals, examples, strict=True):
            start, end = spans[channel][row, cut]
            part = fresh(data.utterances[row].path, channel, preparation.spec)[start:end]
            np.testing.assert_array_equal(found, functionals(part, preparation.spec))
    channels = Counter(channel for examples in drawn for channel, _ in examples)
    cuts = Counter(cut for examples in drawn for _, cut in examples)
    assert cuts.total() == 3 * len(data)
    assert min(channels[channel] for channel in CHANNELS) > 0.4 * cuts.total()
    assert cuts[0] == pytest.approx(cuts.total() / (2 if preparation.cuts else 1), rel=0.2)
    assert set(cuts) == set(range(1 + preparation.cuts))


def test_masks_change_the_frames_alone(data: Dataset) -> None:
    masked_frames = 0
    for one, other in zip(epoch(data, 2), epoch(data, 2, masks=MaskSpec()), strict=True):
        gone = other.frames == 0
        assert other.frames[~gone].equal(one.frames[~gone])
        masked_frames += int((gone & (one.frames != 0)).any(2).sum())
        assert_same(replace(one, frames=other.frames), other)
    assert masked_frames > 0


def test_two_views_of_an_utterance_are_in_channels_of_their_own(
    data: Dataset, preparation: Preparation, cache: Path
) -> None:
    """The cut and the enrolment are the same, so that the views differ by the channel alone."""
    once = list(epoch(data, 2))
    channels = []
    for batch in epoch(data, 2, views=2):
        first, second = np.split(batch.rows, 2)
        np.testing.assert_array_equal(first, second)
        count, again = (x.chunk(2) for x in (batch.baseline_utterances, batch.emotion))
        assert count[0].equal(count[1])
        assert again[0].equal(again[1])
        examples = drawn_examples([batch], data, cache, preparation)[0]
        for (channel, cut), (other, same) in zip(
            examples[: len(first)], examples[len(first) :], strict=True
        ):
            assert cut == same
            channels.append((channel, other))
    assert len(channels) == sum(len(batch.rows) for batch in once)
    assert len(set(channels)) == len(CHANNELS) ** 2


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
    assert all(
        shorter[1] <= longer[0] for shorter, longer in zip(spans[:-1], spans[1:], strict=True)
    )


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
    assert data.epoch_size(cap) == cap * len(groups)
    assert set(rows_of(epoch(data, 0, 1))) != set(rows_of(epoch(data, 1, 1)))


def test_without_speakers_an_epoch_has_so_many_of_a_recording_and_emotion_at_most(
    utterances: list[Utterance], cache: Path
) -> None:
    unknown = [replace(u, speaker="", recording=f"call of {u.speaker}") for u in utterances]
    data = Dataset(unknown, CHANNELS, CUT, cache)
    taken = Counter(
        (unknown[row].corpus, unknown[row].recording, unknown[row].emotion)
        for row in rows_of(epoch(data, 0, 1))
    )
    assert taken == Counter(dict.fromkeys({(u.corpus, u.recording, u.emotion) for u in unknown}, 1))
    assert data.epoch_size(1) == len(taken)

    alone = Dataset([replace(u, recording="") for u in unknown], CHANNELS, CUT, cache)
    assert sorted(rows_of(epoch(alone, 0, 1))) == list(range(len(utterances)))
    assert alone.epoch_size(1) == len(utterances)


def test_batches_have_the_annotators_votes_where_they_are_known(
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
    batches = list(data.in_order(7, channel=1))
    assert sorted(rows_of(batches)) == list(range(len(data)))
    for batch in batches:
        assert is_labelled_and_padded(batch, data)
        for row, frames, length, found in zip(
            batch.rows, batch.frames, batch.lengths, batch.functionals, strict=True
        ):
            whole = fresh(data.utterances[row].path, TELEPHONE, data.spec)
            np.testing.assert_array_equal(frames[:length], normalise(whole, data.spec))
            np.testing.assert_array_equal(found, functionals(whole, data.spec))
        assert batch.baseline.count_nonzero() == batch.baseline_utterances.count_nonzero() == 0


def test_only_the_first_seven_and_a_half_seconds_are_used(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.flac", voice(9.0), 8000)
    long = replace(utterances[0], path=tmp_path / "long.flac", emotion=Emotion.SADNESS)
    preparation = replace(PLAIN, cuts=3, least_s=1.0)
    data = Dataset([long], [CLEAN], preparation, tmp_path / "cache")
    (batch,) = data.in_order(4)
    whole = speech_frames(long.path, CLEAN, SPEC, GATE)
    assert len(whole) > SPEC.window_frames
    assert batch.lengths.tolist() == [SPEC.window_frames]
    np.testing.assert_array_equal(batch.frames[0], normalise(whole[: SPEC.window_frames], SPEC))
    lengths = [int(cut.lengths) for seed in range(20) for cut in epoch(data, seed)]
    assert len(set(lengths)) == 1 + preparation.cuts
    assert 100 <= min(lengths) < max(lengths) == SPEC.window_frames
