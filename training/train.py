"""Trains one network on the corpora: `kanjo train --corpora FOLDER --out runs/first`.

All random numbers are drawn from (seed, epoch), and a checkpoint is written after every epoch, so
that a training that was interrupted, by Ctrl-C or by kill -9, continues to the very same weights.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.network import EmotionNetwork, Member, WithSpeakerBaseline
from model.projection import Projection
from training import checkpoint
from training.calibration import temperature
from training.data.channel import TELEPHONE
from training.data.dataset import Batch, Dataset
from training.data.enrolment import EnrolmentKind
from training.data.manifest import Utterance, read_corpora
from training.data.splits import Split, speaker_split
from training.losses import divergence, multi_task_loss
from training.metrics import Score, corpus_ua, mean_ua, score_corpora
from training.progress import ProgressBar
from training.recipes import TrainConfig
from training.teacher import Teacher, TeacherError


@dataclass(frozen=True, slots=True)
class Epoch:
    """What was measured in one pass over the training utterances; a line of `log.jsonl`."""

    number: int  # from 1
    of: int
    loss: float
    valid_ua: float  # mean over corpora
    valid: dict[str, float]  # UA a corpus
    best_ua: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Logits:
    """A network's outputs for a dataset, in the dataset's order."""

    emotion: Tensor  # (N, 4)
    style: Tensor  # (N, 2)

    def scores(self, data: Dataset, draws: int = 1000) -> dict[str, Score]:
        """Returns the score of every corpus, with a bootstrap of `draws`."""
        return score_corpora(
            data.utterances,
            data.emotion,
            self.emotion.argmax(1).numpy(),
            self.style.argmax(1).numpy() == data.style,
            draws,
        )


@torch.inference_mode()
def predict_logits(
    network: torch.nn.Module,
    data: Dataset,
    enrolment: EnrolmentKind,
    channel: int = 0,
    batch_size: int = 64,
) -> Logits:
    """Returns the logits of every utterance, uncut, in one of the dataset's channels."""
    network.eval()
    emotion = torch.empty(len(data), 4)
    style = torch.empty(len(data), 2)
    for batch in data.in_order(batch_size, channel, enrolment):
        emotion[batch.rows], style[batch.rows] = network(*batch.inputs)
    return Logits(emotion, style)


def train_epoch(
    network: EmotionNetwork,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    config: TrainConfig,
    teacher: Teacher | None = None,
) -> float:
    """Makes one pass over the batches and returns the mean loss of a member."""
    network.train()
    distillation = config.distillation
    losses = []
    for batch in batches:
        loss = torch.zeros(())
        targets = teacher.targets(batch.drawn) if teacher else None
        soft = batch.soft if config.soft_labels else None
        given = network.projected(*batch.inputs)
        for number, member in enumerate(network.members):
            assert isinstance(member, Member)
            voice = member.head_inputs(*given)
            emotion_logits, style_logits = member.logits(voice, *given[2:])
            loss = loss + multi_task_loss(
                emotion_logits,
                style_logits,
                batch.emotion,
                batch.style,
                ser_weight=config.ser_weight,
                selective=config.selective,
                label_smoothing=config.label_smoothing,
                soft=soft,
                teacher=targets.posteriors if targets else None,
                teacher_share=distillation.share if distillation else 0.0,
            )
            if config.consistency:
                loss = loss + config.consistency * divergence(emotion_logits)
            if teacher and targets and distillation and distillation.imitation:
                off = teacher.imitation.loss(number, voice, targets.distance)
                loss = loss + distillation.imitation * off
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        average.update_parameters(network)
        losses.append(loss.item() / len(network.members))
    return float(np.mean(losses))


MOST_FITTED = 8000  # frames, or utterances, whose principal components are sought


def fit_to(network: EmotionNetwork, data: Dataset, seed: int) -> None:
    """Gives a network the statistics of its training data: voices, principal components."""
    rng = np.random.default_rng(seed)
    if isinstance(network.frames, Projection):
        network.frames.fit(torch.from_numpy(data.some_frames(MOST_FITTED, rng)))
    if not network.config.functionals:
        return
    mean, spread = map(torch.from_numpy, data.voice_statistics())
    if isinstance(network.functionals, Projection):
        every = data.functionals()
        flat = every.reshape(-1, every.shape[2])
        some = rng.permutation(len(flat))[:MOST_FITTED]
        network.functionals.fit(torch.from_numpy(flat[some]), spread)
        return
    for module in network.modules():
        if isinstance(module, WithSpeakerBaseline):
            module.mean.copy_(mean)
            module.spread.copy_(spread)


def train(
    config: TrainConfig,
    split: Split,
    out: Path,
    cache: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    encoder: Path | None = None,  # file of the encoder, of a network on embeddings
    teacher: Path | None = None,  # file of the teacher, of a network that is distilled
) -> Path:
    """Trains, or continues from `out/last.pt`, and returns the path of the best checkpoint.

    After every epoch `last.pt` (to continue from) and a line of `log.jsonl` are written and
    `on_epoch` is called; `best.pt` is written when the UA on the validation speakers rises. At the
    end the temperature and the test scores are added to `best.pt`.

    Raises:
        CheckpointError: `last.pt` is unreadable or was made with another config.
        EncoderFileError: embeddings are missing, and the encoder too, or it is another one.
        TeacherError: there is none, and the config needs one; it can't be this one (`Teacher`); or
            the training began with another.
        RecordingError: an utterance can't be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    last, best, log = out / "last.pt", out / "best.pt", out / "log.jsonl"

    # ---- teacher, who is refused before anything is computed --------------------------------
    torch.manual_seed(config.seed)
    distilled_from = Teacher(teacher, config, split, cache, encoder) if teacher else None
    if config.distillation and not distilled_from:
        raise TeacherError("found no teacher, expected one: the network is distilled of it")

    # ---- data -------------------------------------------------------------------------------
    train_data = Dataset(split.train, config.lines, config.preparation, cache, encoder)
    valid_data = Dataset(split.valid, [TELEPHONE], config.test_preparation, cache, encoder)
    test_data = Dataset(split.test, [TELEPHONE], config.test_preparation, cache, encoder)

    # ---- network and optimiser, new or restored ---------------------------------------------
    torch.manual_seed(config.seed)
    network = EmotionNetwork(config.network)
    if not last.exists():
        fit_to(network, train_data, config.seed)
    ema = get_ema_multi_avg_fn(config.averaging)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
    kind = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    trained = [
        *network.parameters(),
        *(distilled_from.imitation.parameters() if distilled_from else ()),
    ]
    optimizer = kind(trained, config.learning_rate, weight_decay=config.weight_decay)
    done, best_ua = 0, -1.0
    if last.exists():
        state = checkpoint.load(last)
        checkpoint.same_config(state, config, last)
        if distilled_from:
            distilled_from.restore(state["teacher"])
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        done, best_ua = state["epoch"], state["best_ua"]

    # ---- epochs -----------------------------------------------------------------------------
    updates = math.ceil(train_data.epoch_size(config.cap_per_speaker_emotion) / config.batch_size)
    epochs = max(config.epochs, math.ceil(config.least_updates / updates))
    for epoch in range(done, epochs):
        began = time.monotonic()
        rng = np.random.default_rng([config.seed, epoch])
        torch.manual_seed(int(rng.integers(2**31)))
        if config.cosine:
            share = 0.5 * (1 + math.cos(math.pi * epoch / epochs))
            optimizer.param_groups[0]["lr"] = config.learning_rate * share
        batches = train_data.epoch(
            config.batch_size,
            config.cap_per_speaker_emotion,
            config.masks,
            rng,
            jitter=config.jitter,
            views=config.views,
        )
        loss = train_epoch(network, average, optimizer, batches, config, distilled_from)

        # The average of the weights is the model; it is validated after every epoch.
        logits = predict_logits(average.module, valid_data, config.enrolment)
        valid = corpus_ua(
            valid_data.utterances, valid_data.emotion, logits.emotion.argmax(1).numpy()
        )
        ua = mean_ua(valid)
        if ua > best_ua:
            best_ua = ua
            checkpoint.save(best, _best_state(config, average.module, epoch, ua))
        checkpoint.save(
            last,
            {
                "config": asdict(config),
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "epoch": epoch + 1,
                "best_ua": best_ua,
                "teacher": distilled_from.state() if distilled_from else None,
            },
        )
        measured = Epoch(
            number=epoch + 1,
            of=epochs,
            loss=loss,
            valid_ua=ua,
            valid=valid,
            best_ua=best_ua,
            seconds=time.monotonic() - began,
        )
        with log.open("a") as file:
            print(json.dumps(asdict(measured)), file=file)
        on_epoch(measured)

    # ---- the best epoch: calibrated on the validation speakers, tested once -----------------
    state = checkpoint.load(best)
    chosen = EmotionNetwork(config.network)
    chosen.load_state_dict(state["network"])
    on_valid = predict_logits(chosen, valid_data, config.enrolment)
    on_test = predict_logits(chosen, test_data, config.enrolment)
    state["temperature"] = temperature(on_valid.emotion, torch.from_numpy(valid_data.emotion))
    state["scores"] = {
        "valid": {name: score.as_dict() for name, score in on_valid.scores(valid_data).items()},
        "test": {name: score.as_dict() for name, score in on_test.scores(test_data).items()},
    }
    state["trained_on"] = _trained_on(split)
    checkpoint.save(best, state)
    return best


def _best_state(
    config: TrainConfig, network: torch.nn.Module, epoch: int, ua: float
) -> dict[str, Any]:
    """Returns what `kanjo export` reads of the best epoch, before it is calibrated and tested."""
    return {
        "config": asdict(config),
        "network": network.state_dict(),
        "epoch": epoch + 1,
        "valid_ua": ua,
    }


def _trained_on(split: Split) -> dict[str, dict[str, Any]]:
    """Returns, by corpus, how many utterances were trained on and the speakers of each part."""

    def speakers(part: list[Utterance], corpus: str) -> list[str]:
        return sorted({u.speaker for u in part if u.corpus == corpus})

    return {
        corpus: {
            "utterances": sum(u.corpus == corpus for u in split.train),
            "speakers": speakers(split.train, corpus),
            "valid_speakers": speakers(split.valid, corpus),
            "test_speakers": speakers(split.test, corpus),
        }
        for corpus in sorted({u.corpus for u in split.train})
    }


def main(
    config: TrainConfig,
    corpora: Path | Sequence[Path],
    out: Path,
    cache: Path,
    encoder: Path | None = None,
    teacher: Path | None = None,
) -> Path:
    """Splits the corpora and trains, with a progress bar; the work of `kanjo train`."""
    split = speaker_split(read_corpora(corpora), config.test_fold, config.folds, config.seed)
    with ProgressBar("training", config.epochs) as bar:

        def show(epoch: Epoch) -> None:
            note = f"loss {epoch.loss:.3f}, valid UA {epoch.valid_ua:.3f}, best {epoch.best_ua:.3f}"
            bar.update(epoch.number, total=epoch.of, note=note)

        return train(config, split, out, cache, show, encoder, teacher)
