import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.chunk_encoder import ChunkEncoder, encode
from model.embedding import EmbeddingSpec, chunk_frames, head_frames, statistics
from model.encoder import EncoderFileError, save_encoder
from model.gate import HOP_SAMPLES, GateSpec
from tests.encoded_model import tiny_encoder, tiny_spec
from tests.training.data.examples import voice
from training.data.augmentation import MaskSpec, mask
from training.data.channel import CLEAN, TELEPHONE, Channel
from training.data.dataset import Dataset
from training.data.embeddings import EmbeddingCache
from training.data.features import Preparation
from training.data.manifest import Utterance
from training.data.recordings import RecordingError, read_recording, speech

SPEC = tiny_spec()
PLAIN = Preparation(SPEC, GateSpec())
CUT = replace(PLAIN, cuts=3, least_s=0.4)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    save_encoder(tiny_encoder(), path)
    return path


@pytest.fixture(scope="module")
def some(utterances: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Five short utterances, and one that is longer than a window."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    soundfile.write(path, voice(9.3), 8000)
    return [*utterances[:5], replace(utterances[5], path=path)]


def test_embeddings_are_those_of_the_chunks_of_the_speech(
    some: list[Utterance], encoder: Path, tmp_path: Path
) -> None:
    """Encoded together or alone, an utterance has the same rows, as in a call."""
    cache = EmbeddingCache.build(some, TELEPHONE, CUT, tmp_path, encoder)
    assert len(cache) == len(some)
    embed = ChunkEncoder(tiny_encoder(), SPEC.row_steps)
    for row, utterance in enumerate(some):
        pcm = speech(utterance.path, TELEPHONE, PLAIN.gate)
        spans = SPEC.chunk_spans(len(pcm) // HOP_SAMPLES)
        within = [span for span in spans if span.end <= SPEC.window_hops]
        rows = np.concatenate(encode(embed, chunk_frames(pcm, within, SPEC), SPEC))
        weights = np.concatenate([SPEC.weights(span.end - span.start) for span in within])
        assert cache.spans[row, 0].tolist() == [0, len(rows)]
        np.testing.assert_allclose(cache.frames(row), head_frames(rows), atol=2e-3)
        np.testing.assert_allclose(cache.whole[row], statistics(rows, weights), atol=2e-3)
        np.testing.assert_array_equal(cache.functionals_of(row), cache.whole[row])
    assert len(within) < len(spans), "the last utterance is longer than a window"


def test_cuts_are_rows_of_the_utterance_with_functionals_of_their_own(
    some: list[Utterance], encoder: Path, tmp_path: Path
) -> None:
    cache = EmbeddingCache.build(some, CLEAN, replace(CUT, cuts=12), tmp_path, encoder)
    lengths = np.ptp(cache.spans, axis=2)  # (N, 13)
    assert (lengths[:, 1:] <= lengths[:, :1]).all()
    assert (lengths[:, 1:] >= np.minimum(2, lengths[:, :1])).all(), "rows of 0.2 s"
    assert len(set(lengths[-1].tolist())) > 3
    for cut, (start, end) in enumerate(cache.spans[-1]):
        frames = cache.frames(5, cut)
        assert frames.shape == (end - start, SPEC.d_frame)
        trimmed = cache.frames(5, cut, 0, 1)
        np.testing.assert_array_equal(trimmed, frames[:-1])
        middle = cache.functionals_of(5, cut)[: SPEC.d_frame // 2]
        assert (middle >= frames[:, : SPEC.d_frame // 2].min(0) - 1e-3).all()
        assert (middle <= frames[:, : SPEC.d_frame // 2].max(0) + 1e-3).all()


def test_cuts_are_the_same_in_every_channel(
    some: list[Utterance], encoder: Path, tmp_path: Path
) -> None:
    one, other = (
        EmbeddingCache.build(some, channel, CUT, tmp_path, encoder)
        for channel in (CLEAN, Channel(gain_db=-6.0))
    )
    np.testing.assert_array_equal(one.spans, other.spans)


def test_what_is_encoded_stays_also_for_other_lists_of_utterances(
    some: list[Utterance], encoder: Path, tmp_path: Path
) -> None:
    EmbeddingCache.build(some[:4], CLEAN, CUT, tmp_path, encoder)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.embeddings/*.npz")}
    assert len(written) == 4
    without_encoder = EmbeddingCache.build(some[3:1:-1], CLEAN, PLAIN, tmp_path, None)
    assert len(without_encoder) == 2
    EmbeddingCache.build(some, CLEAN, CUT, tmp_path, encoder)
    later = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.embeddings/*.npz")}
    assert later.items() >= written.items()
    assert len(later) == len(some)


def test_each_setting_that_changes_embeddings_has_its_own_files(
    some: list[Utterance], encoder: Path, tmp_path: Path
) -> None:
    preparations: Sequence[tuple[Channel, Preparation]] = (
        (CLEAN, PLAIN),
        (TELEPHONE, PLAIN),
        (CLEAN, replace(PLAIN, spec=replace(SPEC, chunk_s=1.2))),
        (CLEAN, replace(PLAIN, gate=GateSpec(aggressiveness=1))),
    )
    for number, (channel, preparation) in enumerate(preparations, start=1):
        EmbeddingCache.build(some[:1], channel, preparation, tmp_path, encoder)
        assert len(list(tmp_path.glob("*.embeddings"))) == number
    EmbeddingCache.build(some[:1], CLEAN, CUT, tmp_path, None)  # the cuts are of the same rows


def test_without_the_right_encoder_nothing_is_encoded(
    some: list[Utterance], encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(EncoderFileError, match=r"of 6 recordings \(clean\), expected an encoder"):
        EmbeddingCache.build(some, CLEAN, PLAIN, tmp_path, None)
    others = replace(PLAIN, spec=EmbeddingSpec(encoder=SPEC.encoder, digest="00" * 32))
    with pytest.raises(EncoderFileError, match="expected 0000000000000000"):
        EmbeddingCache.build(some, CLEAN, others, tmp_path, encoder)
    assert not list(tmp_path.glob("*.embeddings/*"))


def test_what_came_before_a_bad_recording_is_kept(
    some: list[Utterance], encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.embeddings.TOGETHER", 2)
    bad = tmp_path / "bad.flac"
    soundfile.write(bad, np.zeros(100, np.int16), 8000)
    listed = [*some[:3], replace(some[3], path=bad)]
    with pytest.raises(RecordingError, match=f"{bad}: 80 samples, expected 160 or more"):
        EmbeddingCache.build(listed, CLEAN, PLAIN, tmp_path, encoder)
    assert len(list(tmp_path.glob("*.embeddings/*.npz"))) == 2
    shutil.copy(some[3].path, bad)
    assert len(EmbeddingCache.build(listed, CLEAN, PLAIN, tmp_path, encoder)) == 4


def test_speech_begins_and_ends_with_whole_hops(some: list[Utterance]) -> None:
    for utterance in some:
        pcm = speech(utterance.path, CLEAN, PLAIN.gate)
        assert len(pcm) % HOP_SAMPLES == 0
        everything = read_recording(utterance.path)
        assert 0 < len(pcm) <= len(everything)
        assert pcm.tobytes() in everything.tobytes()


def test_a_dataset_of_embeddings_has_rows_as_frames(
    utterances: list[Utterance], encoder: Path, tmp_path: Path
) -> None:
    data = Dataset(utterances[:12], [CLEAN, TELEPHONE], CUT, tmp_path, encoder)
    (batch,) = data.epoch(12, 9, MaskSpec(bands=0), np.random.default_rng(0))
    assert batch.frames.shape == (12, int(batch.lengths.max()), SPEC.d_frame)
    assert batch.functionals.shape == batch.baseline.shape == (12, SPEC.functionals)
    assert batch.baseline_utterances.max() > 0
    mean, spread = data.voice_statistics()
    assert mean.shape == spread.shape == (SPEC.functionals,)
    assert data.functionals().shape == (2, 12, SPEC.functionals)
    few, every = (data.some_frames(count, np.random.default_rng(1)) for count in (5, 10**6))
    assert 5 <= len(few) < 15 < len(every)
    assert few.shape[1] == SPEC.d_frame


def test_a_mask_may_hide_any_number_of_an_embedding() -> None:
    frames = np.ones((20, SPEC.d_frame), np.float32)
    rng = np.random.default_rng(0)
    hidden = sum(mask(frames, SPEC, MaskSpec(times=0), rng) == 0 for _ in range(200)).any(0)
    assert hidden[: SPEC.d_frame // 2].any()
    assert hidden[SPEC.d_frame // 2 :].any()
