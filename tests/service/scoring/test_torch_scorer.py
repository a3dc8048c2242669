from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from model import SHIPPED
from model.artifact import Artifact, ArtifactError, load
from model.features import Frames, log_mel
from model.labels import EMOTIONS, STYLES
from model.speaker_baseline import ModelInput, SpeakerBaseline
from service.scoring.scorer import NotANumber, Posterior
from service.scoring.torch_scorer import LENGTHS, NoSuchDevice, TorchScorer
from tests.paths import SAMPLES

BATCH_MAX = 4
SAMPLE = SAMPLES / "sounds-angry.flac"


@pytest.fixture(scope="module")
def scorer() -> TorchScorer:
    return TorchScorer.load(SHIPPED, "cpu", threads=1, batch_max=BATCH_MAX)


@cache
def speech() -> Frames:
    pcm, _ = soundfile.read(SAMPLE, dtype="int16")
    return log_mel(np.ascontiguousarray(pcm[:, 0]), load(SHIPPED).meta.features)


def window(frames: int, start: int = 900, utterances: int = 0) -> ModelInput:
    """A window of a caller whose baseline has so many utterances."""
    baseline = SpeakerBaseline(load(SHIPPED).meta.features)
    for number in range(utterances):
        baseline.update(speech()[100 * number :][:300])
    return baseline.features(speech()[start : start + frames].copy())


def numbers(posteriors: list[Posterior]) -> np.ndarray:
    """Returns the probabilities (N, 6) of the emotions and then of the styles."""
    return np.array([[*p.emotion.values(), *p.style.values()] for p in posteriors])


MIXED = [
    window(frames, start, utterances=start % 4)
    for start, frames in enumerate((748, 1, 148, 199, 200, 201, 400, 401, 60))
]


def test_windows_scored_together_get_the_posteriors_that_each_gets_alone(
    scorer: TorchScorer,
) -> None:
    together = scorer.score(MIXED)
    alone = [scorer.score([window])[0] for window in MIXED]
    assert np.ptp(numbers(alone), axis=0).max() > 1e-3  # otherwise a wrong order would not show
    np.testing.assert_allclose(numbers(together), numbers(alone), rtol=0, atol=1e-5)


def test_a_window_gets_the_same_posterior_in_any_batch(scorer: TorchScorer) -> None:
    mine = window(150)
    expected = numbers(scorer.score([mine]))[0]
    for others in ([], [window(190, 0)], [window(30, 300), window(200, 500)], [window(190)] * 3):
        for place in range(len(others) + 1):
            batch = [*others[:place], mine, *others[place:]]
            got = numbers(scorer.score(batch))[place]
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_a_window_gets_the_same_posterior_at_any_padded_length(scorer: TorchScorer) -> None:
    one_length = TorchScorer.load(SHIPPED, "cpu", 1, batch_max=BATCH_MAX, lengths=())
    np.testing.assert_allclose(
        numbers(one_length.score(MIXED)), numbers(scorer.score(MIXED)), rtol=0, atol=1e-5
    )


def test_the_level_of_the_frames_changes_nothing(scorer: TorchScorer) -> None:
    quiet = window(300)
    loud = replace(quiet, frames=quiet.frames + np.float32(2.0))
    np.testing.assert_allclose(
        numbers(scorer.score([quiet])), numbers(scorer.score([loud])), rtol=0, atol=1e-4
    )


def test_the_speaker_baseline_changes_the_posterior(scorer: TorchScorer) -> None:
    without, with_baseline = (numbers(scorer.score([window(300, utterances=n)])) for n in (0, 3))
    assert np.abs(without - with_baseline).max() > 1e-3


def test_posteriors_are_probabilities_of_every_emotion_and_style(scorer: TorchScorer) -> None:
    for posterior in scorer.score(MIXED):
        for probabilities, labels in ((posterior.emotion, EMOTIONS), (posterior.style, STYLES)):
            assert tuple(probabilities) == labels
            assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
            assert all(0 <= p <= 1 for p in probabilities.values())


def test_no_windows_get_no_posteriors(scorer: TorchScorer) -> None:
    assert scorer.score([]) == []


class RecordingArtifact:
    """The real artifact; counts the calls for each shape."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.meta = artifact.meta
        self.device = artifact.device
        self.shapes: Counter[tuple[int, ...]] = Counter()

    def __call__(self, frames: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        self.shapes[tuple(frames.shape)] += 1
        return self.artifact(frames, *others)


def test_every_shape_is_run_three_times_in_warm_up() -> None:
    recorded = RecordingArtifact(load(SHIPPED))
    scorer = TorchScorer(recorded, batch_max=3)  # type: ignore[arg-type]
    scorer.warm_up()
    warm = dict(recorded.shapes)
    longest = recorded.meta.features.window_frames
    assert {length for _, length, _ in warm} == {*LENGTHS, longest}
    assert {size for size, _, _ in warm} == {1, 2, 3}
    assert set(warm.values()) == {3}
    recorded.shapes.clear()
    for count in range(1, 8):
        scorer.score([window(frames) for frames in (1, 200, 201, 400, 401, longest, 10)[:count]])
        scorer.score([window(100)] * count)
    assert recorded.shapes.keys() <= warm.keys()
    assert {size for size, _, _ in recorded.shapes} == {1, 2, 3}


def test_a_window_with_nan_is_an_error_and_does_not_affect_later_windows(
    scorer: TorchScorer,
) -> None:
    faulty = window(150)
    faulty.frames[70, 3] = np.nan
    before = numbers(scorer.score(MIXED))
    for windows in ([faulty], [window(150), faulty]):
        with pytest.raises(NotANumber, match="nan.*expected numbers from 0 to 1"):
            scorer.score(windows)
    np.testing.assert_array_equal(numbers(scorer.score(MIXED)), before)


@pytest.mark.parametrize("frames", [0, 749])
def test_a_window_of_an_impossible_length_is_an_assertion_error(
    scorer: TorchScorer, frames: int
) -> None:
    with pytest.raises(AssertionError, match=str(frames)):
        scorer.score([window(frames)])


def test_auto_is_cuda_if_available_and_otherwise_the_cpu() -> None:
    device = TorchScorer.load(SHIPPED, "auto", threads=1, batch_max=1).device
    assert device.startswith("cuda" if torch.cuda.is_available() else "cpu")


def test_an_unavailable_device_is_refused_and_the_available_ones_are_named() -> None:
    with pytest.raises(NoSuchDevice, match=r"got device cuda:99, expected .*\bcpu"):
        TorchScorer.load(SHIPPED, "cuda:99", threads=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_posteriors_of_the_cpu(scorer: TorchScorer) -> None:
    gpu = TorchScorer.load(SHIPPED, "cuda", threads=1, batch_max=BATCH_MAX)
    np.testing.assert_allclose(
        numbers(gpu.score(MIXED)), numbers(scorer.score(MIXED)), rtol=0, atol=1e-3
    )


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(ArtifactError, match=str(path)):
        TorchScorer.load(path, "cpu", threads=1)
