"""Windows of a model with an encoder: each chunk is encoded once, and the answers are offline's."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.artifact import Artifact, load
from model.audio import Pcm
from model.chunk_encoder import ChunkEncoder, encode
from model.chunked_input import Chunk, ChunkedInput
from model.embedding import chunk_frames, head_frames, statistics
from model.gate import HOP_SAMPLES, speech_spans
from model.speaker_baseline import BASELINE_UTTERANCES
from model.speech_check_file import load_check
from service.calls.windows import Window, WindowCutter
from service.metrics import Metrics
from service.scoring.batcher import Batcher, WindowDropped
from service.scoring.scorer import NotANumber, Posterior
from service.scoring.torch_scorer import ROW_LENGTHS, TorchScorer
from tests.encoded_model import export_tiny, tiny_encoder, tiny_spec
from tests.service.calls.cutting import GATE, SECOND, caller, cut, monologue, of_stretch, silence

SPEC = tiny_spec()
PCM = np.concatenate((caller()[: 9 * SECOND], monologue()[: 12 * SECOND], silence(1)))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return load(export_tiny(tmp_path_factory.mktemp("tiny")))


class CountingArtifact:
    """The artifact; counts the chunks that it encodes, and the shapes of the head."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self.meta, self.device = artifact.meta, artifact.device
        self.encoded = 0
        self.shapes: set[tuple[int, ...]] = set()
        self.chunk_shapes: set[int] = set()

    def __call__(self, frames: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        self.shapes.add(tuple(frames.shape))
        return self._artifact(frames, *others)

    def embed(self, frames: Tensor, lengths: Tensor) -> Tensor:
        self.encoded += len(lengths)
        self.chunk_shapes.add(frames.shape[1])
        return self._artifact.embed(frames, lengths)


@pytest.fixture
def counting(artifact: Artifact) -> CountingArtifact:
    return CountingArtifact(artifact)


@pytest.fixture
def scorer(counting: CountingArtifact) -> TorchScorer:
    return TorchScorer(counting, batch_max=4)  # type: ignore[arg-type]


def windows_of(pcm: Pcm = PCM) -> list[Window]:
    return cut(pcm, into=WindowCutter(load_check().spec, GATE, 1.5, 1.0, embedding=SPEC))


def inputs_of(windows: Sequence[Window]) -> list[ChunkedInput]:
    inputs = [window.model_input for window in windows]
    assert all(isinstance(one, ChunkedInput) for one in inputs)
    return inputs  # type: ignore[return-value]


def numbers(posteriors: Sequence[Posterior]) -> np.ndarray:
    """Returns the probabilities (N, 6) of the emotions and then of the styles."""
    return np.array([[*p.emotion.values(), *p.style.values()] for p in posteriors])


def test_streamed_windows_are_those_of_the_recording_encoded_offline(scorer: TorchScorer) -> None:
    found = windows_of()
    streamed = inputs_of(found)
    scorer.score(streamed)
    network = ChunkEncoder(tiny_encoder(), SPEC.row_steps)
    compared = 0
    for stretch in speech_spans(PCM, GATE):
        pcm = PCM[stretch.start * HOP_SAMPLES : stretch.end * HOP_SAMPLES]
        spans = SPEC.chunk_spans(stretch.end - stretch.start)
        offline = encode(network, chunk_frames(pcm, spans, SPEC), SPEC)
        last = of_stretch(found, stretch)[-1:]
        for window in inputs_of(last):
            kept = offline[-len(window.chunks) :]
            mine = window.model_input(SPEC)
            np.testing.assert_allclose(
                mine.frames, head_frames(np.concatenate(kept)), rtol=0, atol=4e-3
            )
            weights = np.concatenate(
                [SPEC.weights(end - start) for start, end in spans[-len(kept) :]]
            )
            np.testing.assert_allclose(
                mine.functionals, statistics(np.concatenate(kept), weights), rtol=0, atol=4e-3
            )
            compared += 1
    assert compared > 2


def test_each_chunk_is_encoded_once_and_only_its_rows_are_kept(
    scorer: TorchScorer, counting: CountingArtifact
) -> None:
    windows = inputs_of(windows_of())
    every = dict.fromkeys(chain.from_iterable(window.chunks for window in windows))
    for window in windows:
        scorer.score([window])
    assert counting.encoded == len(every)
    for chunk in every:
        assert chunk.is_encoded
        assert chunk.rows.dtype == np.float16
        with pytest.raises(AssertionError):
            chunk.frames(SPEC)
    scorer.score(windows)
    assert counting.encoded == len(every)


def test_windows_have_the_same_posteriors_alone_and_together(artifact: Artifact) -> None:
    together = TorchScorer(artifact).score(inputs_of(windows_of()))
    alone = TorchScorer(artifact, batch_max=1)
    one_by_one = [alone.score([window])[0] for window in inputs_of(windows_of())]
    assert np.ptp(numbers(one_by_one), axis=0).max() > 1e-3
    np.testing.assert_allclose(numbers(together), numbers(one_by_one), rtol=0, atol=1e-3)


def test_the_baseline_is_the_mean_of_the_utterances_before_the_window(scorer: TorchScorer) -> None:
    windows = inputs_of(windows_of())
    kept = [[list(u.waiting) for u in window.utterances] for window in windows]
    scorer.score(windows)
    assert len(kept[-1]) >= 3
    for window, utterances in zip(windows, kept, strict=True):
        found = window.model_input(SPEC)
        assert found.baseline_utterances == len(utterances) <= BASELINE_UTTERANCES
        expected = np.zeros(SPEC.functionals)
        for chunks in utterances:
            rows = np.concatenate([chunk.rows for chunk in chunks])
            weights = np.concatenate([SPEC.weights(chunk.hops) for chunk in chunks])
            expected += statistics(rows, weights) / len(utterances)
        np.testing.assert_allclose(found.baseline, expected, rtol=0, atol=1e-4)


def test_an_utterance_that_was_never_in_a_scored_window_is_encoded_for_the_baseline(
    scorer: TorchScorer,
) -> None:
    last = inputs_of(windows_of())[-1]
    scorer.score([last])
    assert last.model_input(SPEC).baseline.any()


def test_warm_up_runs_every_shape(scorer: TorchScorer, counting: CountingArtifact) -> None:
    scorer.warm_up()
    warm, chunk_shapes = set(counting.shapes), set(counting.chunk_shapes)
    assert warm == {(n, t, SPEC.d_frame) for n in (1, 2, 4) for t in (*ROW_LENGTHS, 38)}
    assert chunk_shapes == {50, 100, 150, 179}
    scorer.score(inputs_of(windows_of()))
    assert (counting.shapes, counting.chunk_shapes) == (warm, chunk_shapes)


def faulty(window: ChunkedInput) -> ChunkedInput:
    """Returns a window with a last chunk whose embeddings are not a number."""
    chunk = Chunk(np.zeros(8000, np.int16))
    chunk.keep(np.full((5, 2, SPEC.layers, 16), np.nan, np.float16))
    return replace(window, chunks=(*window.chunks[-3:-1], chunk))


def test_a_window_that_cannot_be_scored_is_the_only_one_dropped(scorer: TorchScorer) -> None:
    good = inputs_of(windows_of())[:3]
    expected = numbers(scorer.score(good))
    with pytest.raises(NotANumber):
        scorer.score([good[0], faulty(good[1])])

    async def scored() -> list[Posterior | BaseException]:
        metrics = Metrics()
        batcher = Batcher(scorer, metrics, batch_max=4, wait_s=0, queue_max=9, max_age_s=60)
        running = asyncio.create_task(batcher.run())
        queued = [batcher.submit(one) for one in (good[0], faulty(good[1]), good[2])]
        answers = await asyncio.gather(*queued, return_exceptions=True)
        running.cancel()
        return answers

    first, second, third = asyncio.run(scored())
    assert isinstance(second, WindowDropped)
    assert isinstance(first, Posterior)
    assert isinstance(third, Posterior)
    np.testing.assert_allclose(numbers([first, third]), expected[[0, 2]], rtol=0, atol=1e-5)


def test_an_utterance_that_cannot_be_encoded_is_left_out_of_the_baseline(
    scorer: TorchScorer,
) -> None:
    last = inputs_of(windows_of())[-1]
    scorer.score([last])
    known = last.model_input(SPEC)
    broken = type(last.utterances[0])(faulty(last).chunks)
    with_broken = replace(last, utterances=(*last.utterances, broken)).model_input(SPEC)
    assert with_broken.baseline_utterances == known.baseline_utterances
    np.testing.assert_allclose(with_broken.baseline, known.baseline)


def test_what_was_dropped_is_not_encoded_for_later_windows(
    scorer: TorchScorer, counting: CountingArtifact
) -> None:
    async def dropped_all_but(kept: int, windows: Sequence[ChunkedInput]) -> Posterior:
        """Submits the windows to a queue that is too small for them; returns the last answer."""
        batcher = Batcher(scorer, Metrics(), batch_max=4, wait_s=0, queue_max=kept, max_age_s=60)
        queued = [batcher.submit(window) for window in windows]
        running = asyncio.create_task(batcher.run())
        answers = await asyncio.gather(*queued, return_exceptions=True)
        running.cancel()
        assert [isinstance(a, WindowDropped) for a in answers] == [True] * 4 + [False] * kept
        return answers[-1]  # type: ignore[return-value]

    spoken = np.append(monologue()[: 9 * SECOND], silence(1))
    windows = inputs_of(windows_of(spoken))[:6]  # of one stretch
    assert len(windows[-1].chunks) == 6
    answer = asyncio.run(dropped_all_but(2, windows))
    assert counting.encoded == 2
    assert [chunk.is_encoded for chunk in windows[-1].chunks] == [False] * 4 + [True] * 2
    left = replace(windows[-1], chunks=windows[-1].chunks[-2:])
    np.testing.assert_allclose(numbers([answer]), numbers(scorer.score([left])), rtol=0, atol=1e-5)


def test_an_utterance_of_which_nothing_was_encoded_is_not_in_the_baseline(
    scorer: TorchScorer,
) -> None:
    last = inputs_of(windows_of())[-1]
    first, *others = last.utterances
    for chunk in first.waiting:
        chunk.leave_out()
    scorer.score([last])
    assert last.model_input(SPEC).baseline_utterances == len(others)
    alone = replace(last, utterances=tuple(others)).model_input(SPEC)
    np.testing.assert_allclose(last.model_input(SPEC).baseline, alone.baseline)


def test_a_file_of_that_kind_loads_from_its_path(tmp_path: Path) -> None:
    scorer = TorchScorer.load(export_tiny(tmp_path), "cpu", threads=1, batch_max=2)
    with torch.inference_mode():
        (posterior,) = scorer.score(inputs_of(windows_of(PCM[: 3 * SECOND]))[:1])
    assert sum(posterior.emotion.values()) == pytest.approx(1, abs=1e-5)
