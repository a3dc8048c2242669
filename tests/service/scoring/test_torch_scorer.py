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
from service.scoring import torch_scorer as module
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


def window(frames: int, start: int = 900, said: int = 0) -> ModelInput:
    """Of a caller who said so much before."""
    caller = SpeakerBaseline(load(SHIPPED).meta.features)
    for number in range(said):
        caller.update(speech()[100 * number :][:300])
    return caller.features(speech()[start : start + frames].copy())


def numbers(posteriors: list[Posterior]) -> np.ndarray:
    """(N, 6)"""
    return np.array([[*p.emotion.values(), *p.style.values()] for p in posteriors])


MIXED = [
    window(frames, start, said=start % 4)
    for start, frames in enumerate((748, 1, 148, 199, 200, 201, 400, 401, 60))
]


def test_windows_scored_together_get_what_each_gets_alone(scorer: TorchScorer) -> None:
    together = scorer.score(MIXED)
    alone = [scorer.score([window])[0] for window in MIXED]
    assert np.ptp(numbers(alone), axis=0).max() > 1e-3  # or else their order would not show
    np.testing.assert_allclose(numbers(together), numbers(alone), rtol=0, atol=1e-5)


def test_a_window_gets_the_same_in_any_company(scorer: TorchScorer) -> None:
    mine = window(150)
    expected = numbers(scorer.score([mine]))[0]
    for company in ([], [window(190, 0)], [window(30, 300), window(200, 500)], [window(190)] * 3):
        for place in range(len(company) + 1):
            crowd = [*company[:place], mine, *company[place:]]
            got = numbers(scorer.score(crowd))[place]
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_a_window_gets_the_same_however_long_its_bucket(
    scorer: TorchScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LENGTHS", ())
    one_bucket = TorchScorer.load(SHIPPED, "cpu", threads=1, batch_max=BATCH_MAX)
    np.testing.assert_allclose(
        numbers(one_bucket.score(MIXED)), numbers(scorer.score(MIXED)), rtol=0, atol=1e-5
    )


def test_the_level_of_the_frames_changes_nothing(scorer: TorchScorer) -> None:
    quiet = window(300)
    loud = replace(quiet, frames=quiet.frames + np.float32(2.0))
    np.testing.assert_allclose(
        numbers(scorer.score([quiet])), numbers(scorer.score([loud])), rtol=0, atol=1e-4
    )


def test_what_the_caller_said_before_changes_the_answer(scorer: TorchScorer) -> None:
    alone, known = (numbers(scorer.score([window(300, said=said)])) for said in (0, 3))
    assert np.abs(alone - known).max() > 1e-3


def test_posteriors_are_probabilities_of_every_emotion_and_style(scorer: TorchScorer) -> None:
    for posterior in scorer.score(MIXED):
        for probabilities, labels in ((posterior.emotion, EMOTIONS), (posterior.style, STYLES)):
            assert tuple(probabilities) == labels
            assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
            assert all(0 <= p <= 1 for p in probabilities.values())


def test_no_windows_get_no_answers(scorer: TorchScorer) -> None:
    assert scorer.score([]) == []


class Noted:
    """The real artifact, and a note of every shape it was asked."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.meta = artifact.meta
        self.device = artifact.device
        self.shapes: Counter[tuple[int, ...]] = Counter()

    def __call__(self, frames: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        self.shapes[tuple(frames.shape)] += 1
        return self.artifact(frames, *others)


def test_no_shape_is_met_that_was_not_met_three_times_in_warm_up() -> None:
    noted = Noted(load(SHIPPED))
    scorer = TorchScorer(noted, batch_max=3)  # type: ignore[arg-type]
    scorer.warm_up()
    warm = dict(noted.shapes)
    longest = noted.meta.features.window_frames
    assert {length for _, length, _ in warm} == {*LENGTHS, longest}
    assert {size for size, _, _ in warm} == {1, 2, 3}
    assert set(warm.values()) == {3}
    noted.shapes.clear()
    for count in range(1, 8):
        scorer.score([window(frames) for frames in (1, 200, 201, 400, 401, longest, 10)[:count]])
        scorer.score([window(100)] * count)
    assert noted.shapes.keys() <= warm.keys()
    assert {size for size, _, _ in noted.shapes} == {1, 2, 3}


def test_a_window_with_nan_is_not_answered_and_harms_none_that_comes_after(
    scorer: TorchScorer,
) -> None:
    poisoned = window(150)
    poisoned.frames[70, 3] = np.nan
    before = numbers(scorer.score(MIXED))
    for windows in ([poisoned], [window(150), poisoned]):
        with pytest.raises(NotANumber, match="nan.*expected numbers from 0 to 1"):
            scorer.score(windows)
    np.testing.assert_array_equal(numbers(scorer.score(MIXED)), before)


@pytest.mark.parametrize("frames", [0, 749])
def test_a_window_of_a_length_that_cannot_be_is_our_mistake(
    scorer: TorchScorer, frames: int
) -> None:
    with pytest.raises(AssertionError, match=str(frames)):
        scorer.score([window(frames)])


def test_auto_is_cuda_if_there_and_else_the_cpu() -> None:
    device = TorchScorer.load(SHIPPED, "auto", threads=1, batch_max=1).device
    assert device.startswith("cuda" if torch.cuda.is_available() else "cpu")


def test_a_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(NoSuchDevice, match=r"got device cuda:99, expected .*\bcpu"):
        TorchScorer.load(SHIPPED, "cuda:99", threads=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_answers_as_the_cpu_does(scorer: TorchScorer) -> None:
    gpu = TorchScorer.load(SHIPPED, "cuda", threads=1, batch_max=BATCH_MAX)
    np.testing.assert_allclose(
        numbers(gpu.score(MIXED)), numbers(scorer.score(MIXED)), rtol=0, atol=1e-3
    )


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(ArtifactError, match=str(path)):
        TorchScorer.load(path, "cpu", threads=1)
