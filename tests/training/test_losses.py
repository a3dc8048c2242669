import math

import pytest
import torch

from training.losses import NEUTRAL, divergence, multi_task_loss

EMOTION_LOGITS = [[2.0, 0.5, -1.0, 0.0], [0.1, 0.2, 0.3, 0.4], [-1.0, 0.0, 3.0, 1.0]]
STYLE_LOGITS = [[1.0, -1.0], [0.0, 0.5], [2.0, 2.0]]
EMOTION = [0, NEUTRAL, 2]
STYLE = [1, 0, 1]
VOTES = [[0.5, 0.0, 0.25, 0.25], [0.2, 0.0, 0.0, 0.8], [0.0, 0.0, 0.0, 1.0]]
HARD = [[float(k == emotion) for k in range(4)] for emotion in EMOTION]


def cross_entropy(logits: list[float], truth: int) -> float:
    return math.log(sum(math.exp(x) for x in logits)) - logits[truth]


def smoothed(logits: list[float], truth: int, smoothing: float) -> float:
    even = sum(cross_entropy(logits, k) for k in range(len(logits))) / len(logits)
    return (1 - smoothing) * cross_entropy(logits, truth) + smoothing * even


def by_hand(
    weights: list[float], smoothing: float = 0.0, shares: list[list[float]] = HARD
) -> float:
    """Equation 3 with a lambda for each utterance."""
    each = [
        weight * sum(share * smoothed(emotion_logits, k, smoothing) for k, share in enumerate(own))
        + (1 - weight) * cross_entropy(style_logits, style)
        for weight, emotion_logits, style_logits, own, style in zip(
            weights, EMOTION_LOGITS, STYLE_LOGITS, shares, STYLE, strict=True
        )
    ]
    return sum(each) / len(each)


def loss(
    ser_weight: float,
    selective: bool,
    smoothing: float = 0.0,
    shares: list[list[float]] | None = None,
) -> float:
    return multi_task_loss(
        torch.tensor(EMOTION_LOGITS, dtype=torch.float64),
        torch.tensor(STYLE_LOGITS, dtype=torch.float64),
        torch.tensor(EMOTION),
        torch.tensor(STYLE),
        ser_weight=ser_weight,
        selective=selective,
        label_smoothing=smoothing,
        soft=None if shares is None else torch.tensor(shares, dtype=torch.float64),
    ).item()


@pytest.mark.parametrize("ser_weight", [0.0, 0.1, 0.8, 1.0])
def test_multi_task_weighs_both_tasks_for_every_utterance(ser_weight: float) -> None:
    assert loss(ser_weight, selective=False) == pytest.approx(by_hand([ser_weight] * 3))


@pytest.mark.parametrize("ser_weight", [0.0, 0.1, 0.8, 1.0])
def test_selective_leaves_the_style_of_neutral_speech_out(ser_weight: float) -> None:
    expected = by_hand([ser_weight, 1.0, ser_weight])
    assert loss(ser_weight, selective=True) == pytest.approx(expected)


def test_selective_differs_from_multi_task_only_by_neutral_speech() -> None:
    difference = loss(0.8, selective=True) - loss(0.8, selective=False)
    neutral = 0.2 * (cross_entropy(EMOTION_LOGITS[1], 3) - cross_entropy(STYLE_LOGITS[1], 0))
    assert difference == pytest.approx(neutral / 3)


def test_smoothing_spreads_the_emotion_s_label_and_leaves_the_style_s() -> None:
    assert loss(0.8, selective=True, smoothing=0.1) == pytest.approx(by_hand([0.8, 1, 0.8], 0.1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_votes_replace_the_label(smoothing: float) -> None:
    """The label alone decides which speech is neutral."""
    expected = by_hand([0.8, 1.0, 0.8], smoothing, VOTES)
    assert loss(0.8, True, smoothing, VOTES) == pytest.approx(expected)
    assert expected != pytest.approx(by_hand([0.8, 1.0, 0.8], smoothing))


def test_unanimous_votes_are_the_label() -> None:
    assert loss(0.8, True, 0.1, HARD) == pytest.approx(loss(0.8, True, 0.1))


def test_the_style_head_learns_nothing_from_neutral_speech() -> None:
    style_logits = torch.tensor(STYLE_LOGITS, requires_grad=True)
    multi_task_loss(
        torch.tensor(EMOTION_LOGITS),
        style_logits,
        torch.tensor(EMOTION),
        torch.tensor(STYLE),
        ser_weight=0.8,
        selective=True,
    ).backward()
    assert style_logits.grad is not None
    moved = style_logits.grad.abs().sum(dim=1) > 0
    assert moved.tolist() == [True, False, True]


def test_divergence_is_the_mean_of_both_directions() -> None:
    first, second = (torch.tensor(EMOTION_LOGITS, dtype=torch.float64).roll(n, 0) for n in (0, 1))
    p, q = first.softmax(1), second.softmax(1)
    both_ways = ((p - q) * (p.log() - q.log())).sum(1)  # Kullback and Leibler's J
    found = divergence(torch.cat((first, second)))
    assert found.item() == pytest.approx(both_ways.mean().item() / 2)
    assert divergence(torch.cat((second, first))).item() == pytest.approx(found.item())
    assert divergence(torch.cat((first, first + 3))).item() == pytest.approx(0, abs=1e-12)


def test_a_teacher_gives_a_share_of_the_emotions_targets() -> None:
    def of(teacher_share: float, taught: list[list[float]] = VOTES) -> float:
        return multi_task_loss(
            torch.tensor(EMOTION_LOGITS, dtype=torch.float64),
            torch.tensor(STYLE_LOGITS, dtype=torch.float64),
            torch.tensor(EMOTION),
            torch.tensor(STYLE),
            ser_weight=0.8,
            selective=True,
            label_smoothing=0.1,
            teacher=torch.tensor(taught, dtype=torch.float64),
            teacher_share=teacher_share,
        ).item()

    weights = [0.8, 1.0, 0.8]  # by the labels, whatever the teacher says
    labels_alone, teacher_alone = by_hand(weights, 0.1), by_hand(weights, 0.0, VOTES)
    assert of(0.0) == pytest.approx(labels_alone)
    assert of(1.0) == pytest.approx(teacher_alone)
    assert of(0.3) == pytest.approx(0.7 * labels_alone + 0.3 * teacher_alone)
