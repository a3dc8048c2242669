"""The paper's joint loss (section 2.2, equation 3) and its selective form (section 2.3)."""

from torch import Tensor, full_like
from torch.nn.functional import cross_entropy

from model.labels import EMOTIONS, Emotion

NEUTRAL = EMOTIONS.index(Emotion.NEUTRAL)


def multi_task_loss(
    emotion_logits: Tensor,  # (B, 4)
    style_logits: Tensor,  # (B, 2)
    emotion: Tensor,  # (B,) int64
    style: Tensor,  # (B,) int64
    *,
    ser_weight: float,
    selective: bool,
    label_smoothing: float = 0.0,
    soft: Tensor | None = None,  # (B, 4) shares of the annotators' votes, in place of `emotion`
) -> Tensor:
    """Mean over the batch of lambda * CE_emotion + (1 - lambda) * CE_style.

    lambda is `ser_weight`; with `selective` it is 1 where the label is neutral, because neutral
    speech is held to sound the same in either style. `ser_weight` 1 leaves the style out.
    """
    target = emotion if soft is None else soft
    of_emotion = cross_entropy(
        emotion_logits, target, reduction="none", label_smoothing=label_smoothing
    )
    of_style = cross_entropy(style_logits, style, reduction="none")
    weight = full_like(of_emotion, ser_weight)
    if selective:
        weight = weight.masked_fill(emotion == NEUTRAL, 1.0)
    return (weight * of_emotion + (1 - weight) * of_style).mean()
