"""The paper's joint loss (section 2.2, equation 3) and its selective form (section 2.3)."""

from torch import Tensor, full_like
from torch.nn.functional import cross_entropy, kl_div

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
    teacher: Tensor | None = None,  # (B, 4) posteriors of a teacher
    teacher_share: float = 0.0,
) -> Tensor:
    """Returns the mean over the batch of lambda * CE_emotion + (1 - lambda) * CE_style.

    lambda is `ser_weight`; with `selective` it is 1 where the label is neutral, because the paper
    assumes that neutral speech sounds the same in both styles. `ser_weight` 1 ignores the style.

    With a teacher (Hinton et al. 2015), `teacher_share` of CE_emotion is that to its posteriors.
    """
    target = emotion if soft is None else soft
    of_emotion = cross_entropy(
        emotion_logits, target, reduction="none", label_smoothing=label_smoothing
    )
    if teacher is not None:
        of_teacher = cross_entropy(emotion_logits, teacher, reduction="none")
        of_emotion = teacher_share * of_teacher + (1 - teacher_share) * of_emotion
    of_style = cross_entropy(style_logits, style, reduction="none")
    weight = full_like(of_emotion, ser_weight)
    if selective:
        weight = weight.masked_fill(emotion == NEUTRAL, 1.0)
    return (weight * of_emotion + (1 - weight) * of_style).mean()


def divergence(emotion_logits: Tensor) -> Tensor:
    """Returns how far the two views of each utterance diverge (Liang et al. 2021, R-Drop).

    This is the symmetric Kullback-Leibler divergence, mean over the batch. The logits (2 * B, 4)
    hold all utterances in one channel and then, in the same order, in another.
    """
    first, second = emotion_logits.log_softmax(1).chunk(2)
    return 0.5 * (
        kl_div(first, second, reduction="batchmean", log_target=True)
        + kl_div(second, first, reduction="batchmean", log_target=True)
    )
