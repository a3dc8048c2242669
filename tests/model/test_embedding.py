"""Chunks cover a stretch, and rows stand for all of their steps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.embedding import (
    EmbeddingSpec,
    Rows,
    chunk_frames,
    head_frames,
    rows_in,
    statistics,
)
from model.encoder_config import EncoderConfig
from model.encoder_frames import EncoderFrameSpec, encoder_frames
from tests.encoded_model import window_of

SPEC = EmbeddingSpec()
GRIDS = [SPEC, replace(SPEC, first_chunk_s=0.8, chunk_s=2.0, least_chunk_s=0.5)]
every_grid = pytest.mark.parametrize("spec", GRIDS, ids=["shipped", "other"])


@every_grid
@given(hops=st.integers(1, 3000))
def test_chunks_cover_a_stretch_without_a_gap(spec: EmbeddingSpec, hops: int) -> None:
    spans = spec.chunk_spans(hops)
    assert [spans[0].start, spans[-1].end] == [0, hops]
    for span, following in zip(spans, spans[1:], strict=False):
        assert span.end == following.start
    for span in spans:
        assert span.end - span.start <= spec.longest_hops
        assert span.end - span.start >= min(spec.least_hops, hops)


@every_grid
@given(hops=st.integers(1, 3000), more=st.integers(0, 400))
def test_all_chunks_but_the_last_stay_as_a_stretch_grows(
    spec: EmbeddingSpec, hops: int, more: int
) -> None:
    spans = spec.chunk_spans(hops)
    assert spec.chunk_spans(hops + more)[: len(spans) - 1] == spans[:-1]


@every_grid
@given(hops=st.integers(1, 3000))
def test_at_a_boundary_all_chunks_are_full(spec: EmbeddingSpec, hops: int) -> None:
    before, after = spec.boundary_before(hops), spec.boundary_after(hops)
    assert before <= hops <= after
    assert after - before in {0, spec.first_hops if before == 0 else spec.chunk_hops}
    lengths = [end - start for start, end in spec.chunk_spans(after)]
    assert lengths == [spec.first_hops] + [spec.chunk_hops] * (len(lengths) - 1)
    assert spec.boundary_before(after) == spec.boundary_after(after) == after


@given(hops=st.integers(1, 3000), data=st.data())
def test_the_last_chunks_can_be_asked_for_alone(hops: int, data: st.DataObject) -> None:
    spans = SPEC.chunk_spans(hops)
    first = data.draw(st.integers(0, len(spans) - 1))
    assert SPEC.chunk_spans(hops, first) == spans[first:]


def test_the_chunks_of_a_call_are_those_of_the_documentation() -> None:
    assert SPEC.chunk_spans(149) == [(0, 149)]
    assert SPEC.chunk_spans(279) == [(0, 150), (150, 279)]
    assert SPEC.chunk_spans(280) == [(0, 150), (150, 250), (250, 280)]


@every_grid
@given(hops=st.integers(1, 3000))
def test_a_window_is_the_last_chunks_that_fit(spec: EmbeddingSpec, hops: int) -> None:
    spans = spec.chunk_spans(hops)
    window = window_of(spec, spans)
    assert window == spans[-len(window) :]
    assert hops - window[0].start <= spec.window_hops
    if len(window) < len(spans):
        assert hops - spans[-len(window) - 1].start > spec.window_hops
    assert sum(spec.rows_in(end - start) for start, end in window) <= spec.window_rows


def test_a_window_has_at_most_38_rows() -> None:
    assert SPEC.window_rows == 38


@given(frames=st.integers(1, 400))
def test_the_rows_of_a_chunk_stand_for_all_of_its_steps(frames: int) -> None:
    weights = SPEC.weights(frames)
    assert len(weights) == SPEC.rows_in(frames)
    assert weights.sum() == (frames + 1) // 2
    assert (weights[:-1] == 10).all()
    assert 5 <= weights[-1] < 15 or frames < 10


def test_rows_are_the_nearest_number() -> None:
    assert [rows_in(steps, 10) for steps in (1, 14, 15, 50, 75)] == [1, 1, 2, 5, 8]


def chunk_rows(values: np.ndarray, weights: np.ndarray) -> Rows:
    """Returns the rows of steps (S, layers, d), as many in each row as `weights` has."""
    parts = np.split(values, np.cumsum(weights).astype(int)[:-1])
    return np.stack([np.stack((part.mean(0), part.std(0))) for part in parts]).astype(np.float16)


def test_statistics_are_those_of_all_steps() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (87, 3, 4)) * rng.uniform(0.5, 2, (3, 4)) + rng.normal(0, 3, (3, 4))
    weights = np.array([10, 10, 14, 10, 10, 10, 10, 13], np.float32)
    found = statistics(chunk_rows(values, weights), weights)
    assert found.dtype == np.float32
    expected = np.concatenate((values.mean(0).ravel(), values.std(0).ravel()))
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_the_network_is_given_means_and_then_spreads() -> None:
    rows = np.arange(24, dtype=np.float16).reshape(2, 2, 3, 2)
    assert head_frames(rows).tolist() == [[*range(12)], [*range(12, 24)]]
    assert head_frames(rows).dtype == np.float32
    assert (SPEC.d_frame, SPEC.functionals) == (3072, 3072)


def test_a_chunk_is_framed_by_itself() -> None:
    pcm = np.random.default_rng(0).integers(-3000, 3000, 80 * 270).astype(np.int16)
    first, second = chunk_frames(pcm, SPEC.chunk_spans(270), SPEC)
    assert (len(first), len(second)) == (150, 120)
    np.testing.assert_array_equal(second, encoder_frames(pcm[12_000:], EncoderFrameSpec()))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder": EncoderConfig(n_mels=8)}, "an encoder of 8 bands, expected the 80"),
        ({"frames": EncoderFrameSpec(hop_samples=160)}, "every 160 samples, expected the gate's"),
        ({"row_steps": 0}, "row_steps is 0, expected 1 or more"),
        ({"least_chunk_s": 0.0}, "least_chunk_s is 0.0, expected 0.02 to"),
        ({"least_chunk_s": 1.2}, "least_chunk_s is 1.2, expected 0.02 to the shorter of 1.5 and"),
        ({"first_chunk_s": 7.5}, "chunks are up to 7.79 s long, expected at most the window"),
        ({"encoder": EncoderConfig(positions=80)}, "and the encoder's 1.60 s"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SPEC, **values)
