"""Fits what turns a system's logits into probabilities and decisions, on validation speakers."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import roc_curve
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.metrics import ANGER


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted for one system and one normalisation."""

    temperature: float  # divides the logits before the softmax
    anger_at: float  # from this probability on, an utterance counts as angry


def calibrate(
    logits: Tensor,  # (N, 4) of the validation utterances
    emotion: NDArray[np.int64],  # (N,)
) -> Calibration:
    """Fits the temperature, then the threshold of anger on the calibrated probabilities.

    Raises:
        ValueError: all utterances are angry, or none is.
    """
    divisor = temperature(logits, torch.from_numpy(emotion))
    posterior = (logits / divisor).softmax(1).numpy()
    return Calibration(divisor, anger_threshold(posterior[:, ANGER], emotion == ANGER))


def temperature(logits: Tensor, truth: Tensor) -> float:
    """Returns the divisor of the logits (N, C) with which the truth (N,) is most likely.

    Temperature scaling (Guo et al. 2017).
    """
    found = minimize_scalar(
        lambda log_t: float(cross_entropy(logits / math.exp(log_t), truth)),
        bounds=(-2.0, 2.0),
        method="bounded",
    )
    return math.exp(found.x)


def anger_threshold(
    probability: NDArray[np.float64],  # (N,) of anger
    is_anger: NDArray[np.bool_],  # (N,)
) -> float:
    """Returns the probability of anger that separates anger from the rest with the highest UA.

    It lies half-way between the two neighbouring probabilities that it separates.

    Raises:
        ValueError: all utterances are angry, or none is.
    """
    if is_anger.all() or not is_anger.any():
        raise ValueError(f"found anger in {is_anger.sum()} of {len(is_anger)}, expected some")
    false_alarms, found, at = roc_curve(is_anger, probability, drop_intermediate=False)
    # The first, where nothing is anger, is no better than the last, where everything is.
    best = int(np.argmax((found - false_alarms)[1:]))
    borders = np.array([*at[1:], 0.0])
    return float(borders[best : best + 2].mean())
