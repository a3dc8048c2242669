import numpy as np
import pytest

from model.chunked_input import Chunk, ChunkedInput
from model.embedding import EmbeddingSpec
from model.embedding_baseline import EmbeddingBaseline, new_baseline
from model.features import Frames
from model.functionals import functionals
from model.speaker_baseline import BASELINE_UTTERANCES, SpeakerBaseline
from model.speech_check_file import load_check

CHECK = load_check()


def frames(count: int = 200) -> Frames:
    shape = (count, CHECK.spec.n_features)
    return np.random.default_rng(0).normal(10, 2, shape).astype(np.float32)


def chunk() -> Chunk:
    return Chunk(np.zeros(8000, np.int16))


def utterances(baseline: EmbeddingBaseline) -> int:
    return len(baseline.features(frames(), [chunk()]).utterances)


def test_a_window_has_the_utterances_before_it() -> None:
    baseline = EmbeddingBaseline(CHECK.spec)
    first = baseline.features(frames(), [chunk(), chunk()])
    baseline.update(frames(), None, [chunk()])
    assert first.utterances == ()
    assert len(first.chunks) == 2
    np.testing.assert_array_equal(first.functionals, functionals(frames(), CHECK.spec))
    assert utterances(baseline) == 1


def test_it_stays_as_it_is_once_it_is_complete() -> None:
    baseline = EmbeddingBaseline(CHECK.spec)
    for _ in range(BASELINE_UTTERANCES + 2):
        baseline.update(frames(), None, [chunk()])
    assert utterances(baseline) == BASELINE_UTTERANCES


def test_what_is_no_speech_or_too_short_is_left_out() -> None:
    baseline = EmbeddingBaseline(CHECK.spec)
    tone = np.full((200, CHECK.spec.n_features), 12, np.float32)
    assert not CHECK.accepts(functionals(tone, CHECK.spec))
    baseline.update(tone, CHECK, [chunk()])
    baseline.update(frames(1), None, [chunk()])
    baseline.update(frames(), None, [])
    assert utterances(baseline) == 0


@pytest.mark.parametrize("embedding", [EmbeddingSpec(), None])
def test_each_kind_of_model_has_its_own(embedding: EmbeddingSpec | None) -> None:
    baseline = new_baseline(CHECK.spec, embedding)
    assert isinstance(baseline, EmbeddingBaseline if embedding else SpeakerBaseline)
    chunks = [chunk()] if embedding else []
    assert isinstance(baseline.features(frames(), chunks), ChunkedInput) == bool(embedding)
