"""The speaker baselines of a dataset's batches."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.data.examples import (
    CHANNELS,
    CUT,
    PLAIN,
    drawn_examples,
    epoch,
    whole_functionals,
)
from training.data.dataset import Dataset
from training.data.enrolment import EnrolmentKind, enrolments
from training.data.manifest import Utterance


@pytest.fixture(scope="module")
def with_baseline(utterances: list[Utterance], cache: Path) -> Dataset:
    return Dataset(utterances, CHANNELS, CUT, cache)


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("kind", ["utterance", "caller", "speaker"])
def test_in_order_the_baseline_is_the_mean_of_the_enrolment(
    with_baseline: Dataset, utterances: list[Utterance], kind: EnrolmentKind, channel: int
) -> None:
    """The mean of the whole utterances, in the same channel."""
    expected = enrolments(utterances, kind, 3)
    for batch in with_baseline.in_order(9, channel, kind, seed=3):
        for row, baseline, count in zip(
            batch.rows, batch.baseline, batch.baseline_utterances, strict=True
        ):
            assert count == len(expected[row])
            own = [
                whole_functionals(utterances[r], CHANNELS[channel], CUT.spec) for r in expected[row]
            ]
            mean = np.mean(own, axis=0) if own else np.zeros(len(baseline))
            np.testing.assert_allclose(baseline, mean, rtol=1e-4, atol=1e-5)
    counts = {len(enrolment) for enrolment in expected}
    assert counts == {"utterance": {0}, "caller": {1, 2}, "speaker": {8}}[kind]


def test_an_epoch_draws_the_enrolments(utterances: list[Utterance], cache: Path) -> None:
    """With two utterances a voice an enrolment is empty, the other one several times, or both."""
    pairs = [u for u in utterances if u.path.stem.endswith(("anger-0", "neutral-0"))]
    data = Dataset(pairs, CHANNELS, CUT, cache)
    batches = [batch for seed in range(5) for batch in epoch(data, seed)]
    kinds = set()
    for batch, examples in zip(batches, drawn_examples(batches, data, cache, CUT), strict=True):
        for row, baseline, count, (channel, _) in zip(
            batch.rows, batch.baseline, batch.baseline_utterances, examples, strict=True
        ):
            voice = (pairs[row].corpus, pairs[row].speaker)
            both = [r for r, u in enumerate(pairs) if (u.corpus, u.speaker) == voice]
            mine, other = (
                whole_functionals(pairs[r], channel, CUT.spec) for r in (row, sum(both) - row)
            )
            (kind,) = (
                kind
                for kind, mean in (
                    ("empty", 0 * mine),
                    ("other", other),
                    ("both", (mine + other) / 2),
                )
                if np.allclose(baseline, mean, rtol=1e-4, atol=1e-4)
            )
            possible = {"empty": {0}, "other": set(range(1, 9)), "both": {2}}
            assert int(count) in possible[kind]
            kinds.add(kind)
    assert kinds == {"empty", "other", "both"}


def test_without_functionals_there_is_no_baseline(utterances: list[Utterance], cache: Path) -> None:
    data = Dataset(utterances, CHANNELS, PLAIN, cache)
    for batch in (*epoch(data, 0), *data.in_order(8, enrolment="caller")):
        assert batch.functionals.shape == batch.baseline.shape == (len(batch.rows), 0)
        assert batch.baseline_utterances.count_nonzero() == 0


def test_voice_statistics_are_the_mean_and_the_spread_within_a_voice(
    with_baseline: Dataset, utterances: list[Utterance]
) -> None:
    mean, spread = with_baseline.voice_statistics()
    whole = np.array(
        [[whole_functionals(u, channel, CUT.spec) for u in utterances] for channel in CHANNELS],
        np.float64,
    )  # (channels, N, F)
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
