"""Trains one network on the corpora: `kanjo train --corpora FOLDER --out runs/first`.

Everything random is drawn from (seed, epoch), and a checkpoint is written after every epoch, so
that a training that was interrupted, by Ctrl-C or by kill -9, goes on to the very same weights.
"""

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from model.artifact import DEFAULT_SERVING
from model.features import FeatureSpec
from model.functionals import functional_count
from model.gate import GateSpec
from model.network import PRESETS, EmotionNetwork, NetworkConfig, WithSpeakerBaseline
from training import checkpoint
from training.data.channel import CLEAN, NO_MASKS, TELEPHONE, TRAINING_CHANNELS, Channel, MaskSpec
from training.data.dataset import PLAIN_GATE, Batch, Dataset, Preparation
from training.data.enrolment import EnrolmentKind
from training.data.manifest import Utterance, read_corpora
from training.data.splits import Split, speaker_split
from training.losses import divergence, multi_task_loss
from training.metrics import Score, score_corpora


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a training's result; saved in its checkpoints and in the artifact."""

    network: NetworkConfig = PRESETS["paper"]
    features: FeatureSpec = FeatureSpec()
    gate: GateSpec = PLAIN_GATE
    # Data
    folds: int = 5
    test_fold: int = 0
    cap_per_speaker_emotion: int = 25  # utterances an epoch
    lines: tuple[Channel, ...] = (CLEAN,)  # of which each utterance comes over one, drawn anew
    cuts: int = 0  # of an utterance beside the whole; half of what is heard are cuts then
    # Shortest cut of a longer utterance: as long as the first window of a stretch of speech.
    least_s: float = DEFAULT_SERVING.first_s
    jitter: int = 0  # frames, at most, that either end of what is heard loses, drawn anew
    masks: MaskSpec = NO_MASKS
    soft_labels: bool = False  # annotators' votes in place of the label, where they are known
    # Loss (paper section 2)
    ser_weight: float = 0.8  # lambda
    selective: bool = True
    label_smoothing: float = 0.0  # the paper has none
    # Of the divergence between two hearings of an utterance; 0: each is heard once, as in the paper
    consistency: float = 0.0
    # Optimiser (paper section 4.2; "decay rate" is read as weight decay)
    epochs: int = 100
    least_updates: int = 0  # few utterances are gone through more often, until there are so many
    batch_size: int = 32
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    decoupled: bool = False  # AdamW's weight decay in place of Adam's
    cosine: bool = False  # the learning rate falls to zero over the training; constant in the paper
    averaging: float = 0.0  # decay a step of the weights' average, which is the model; 0: none
    seed: int = 0

    @property
    def known(self) -> EnrolmentKind:
        """What the model is chosen by: as much as the service will know."""
        return "caller" if self.features.functionals else "utterance"

    @property
    def making(self) -> Preparation:
        """How its training utterances are made into frames."""
        return Preparation(self.features, self.gate, self.cuts, self.least_s)

    @property
    def test_making(self) -> Preparation:
        """How utterances are that it is tested on: whole."""
        return Preparation(self.features, self.gate)


# Below these floors codecs differ: the shipped model is to say the same over any of them.
_VOICE = FeatureSpec(log_floor=7.0, masking_db=25.0, pitch_lags=24, functionals=True)
RECIPES = {
    "paper": TrainConfig(),
    # The paper's systems on a network that two cores can train: as little else as possible.
    "compact": TrainConfig(
        network=PRESETS["compact"],
        epochs=16,
        least_updates=1000,
        learning_rate=1e-3,
        cosine=True,
        averaging=0.99,
    ),
    # All that helped, and the caller's own voice.
    "kanjo": TrainConfig(
        network=replace(
            PRESETS["compact"],
            d_frame=_VOICE.n_features,
            functionals=functional_count(_VOICE),
            head_dropout=0.3,
            members=2,
        ),
        features=_VOICE,
        gate=GateSpec(),
        lines=TRAINING_CHANNELS,
        cuts=3,
        masks=MaskSpec(),
        jitter=3,
        consistency=1.5,
        epochs=36,
        learning_rate=1e-3,
        weight_decay=1e-3,
        decoupled=True,
        cosine=True,
        averaging=0.995,
        label_smoothing=0.05,
    ),
}


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training utterances came to."""

    number: int  # from 1
    of: int
    loss: float
    valid_ua: float  # mean over corpora
    valid: dict[str, float]  # UA a corpus
    best_ua: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Logits:
    """What a network says of a dataset, in the dataset's order."""

    emotion: Tensor  # (N, 4)
    style: Tensor  # (N, 2)

    def scores(self, data: Dataset, draws: int = 1000) -> dict[str, Score]:
        return score_corpora(
            data.utterances,
            data.emotion,
            self.emotion.argmax(1).numpy(),
            self.style.argmax(1).numpy() == data.style,
            draws,
        )


@torch.inference_mode()
def answer(
    network: torch.nn.Module,
    data: Dataset,
    known: EnrolmentKind,
    line: int = 0,
    batch_size: int = 64,
) -> Logits:
    """The logits of every utterance, uncut, over one of the dataset's lines."""
    network.eval()
    emotion = torch.empty(len(data), 4)
    style = torch.empty(len(data), 2)
    for batch in data.in_order(batch_size, line, known):
        emotion[batch.rows], style[batch.rows] = network(*batch.heard)
    return Logits(emotion, style)


def temperature(logits: Tensor, truth: Tensor) -> float:
    """The divisor of the logits that makes their probabilities most likely (Guo et al. 2017)."""
    found = minimize_scalar(
        lambda log_t: float(cross_entropy(logits / math.exp(log_t), truth)),
        bounds=(-2.0, 2.0),
        method="bounded",
    )
    return math.exp(found.x)


def mean_ua(scores: dict[str, Score]) -> float:
    """What the best checkpoint is chosen by: every corpus counts the same."""
    return float(np.mean([score.ua for score in scores.values()]))


def train_epoch(
    network: EmotionNetwork,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    config: TrainConfig,
) -> float:
    """One pass over the batches; the mean loss of a member."""
    network.train()
    losses = []
    for batch in batches:
        loss = torch.zeros(())
        for member in network.members:
            emotion_logits, style_logits = member(*batch.heard)
            loss = loss + multi_task_loss(
                emotion_logits,
                style_logits,
                batch.emotion,
                batch.style,
                ser_weight=config.ser_weight,
                selective=config.selective,
                label_smoothing=config.label_smoothing,
                soft=batch.soft if config.soft_labels else None,
            )
            if config.consistency:
                loss = loss + config.consistency * divergence(emotion_logits)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        average.update_parameters(network)
        losses.append(loss.item() / len(network.members))
    return float(np.mean(losses))


def train(
    config: TrainConfig,
    split: Split,
    out: Path,
    cache: Path,
    told: Callable[[Epoch], None] = lambda epoch: None,
) -> Path:
    """Trains, going on from `out/last.pt` if that is there; gives the path of the best checkpoint.

    Writes `last.pt` (to go on from) and `log.jsonl` (a line an epoch) after every epoch and tells
    of it, `best.pt` when the validation speakers say so, and the temperature and the test scores
    into it at the end.

    Raises:
        CheckpointError: `last.pt` is unreadable or was made with another config.
        RecordingError: an utterance can't be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    last, best, log = out / "last.pt", out / "best.pt", out / "log.jsonl"

    # ---- data -------------------------------------------------------------------------------
    train_data = Dataset(split.train, config.lines, config.making, cache)
    valid_data = Dataset(split.valid, [TELEPHONE], config.test_making, cache)
    test_data = Dataset(split.test, [TELEPHONE], config.test_making, cache)

    # ---- network and optimiser, new or as they were -----------------------------------------
    torch.manual_seed(config.seed)
    network = EmotionNetwork(config.network)
    if config.network.functionals:
        mean, spread = train_data.voices()
        for voice in network.modules():
            if isinstance(voice, WithSpeakerBaseline):
                voice.mean.copy_(torch.from_numpy(mean))
                voice.spread.copy_(torch.from_numpy(spread))
    ema = get_ema_multi_avg_fn(config.averaging)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
    kind = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    optimizer = kind(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    done, best_ua = 0, -1.0
    if last.exists():
        state = checkpoint.load(last)
        checkpoint.same_config(state, config, last)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        done, best_ua = state["epoch"], state["best_ua"]

    # ---- epochs -----------------------------------------------------------------------------
    updates = math.ceil(train_data.drawn(config.cap_per_speaker_emotion) / config.batch_size)
    epochs = max(config.epochs, math.ceil(config.least_updates / updates))
    for epoch in range(done, epochs):
        began = time.monotonic()
        rng = np.random.default_rng([config.seed, epoch])
        torch.manual_seed(int(rng.integers(2**31)))
        if config.cosine:
            part = 0.5 * (1 + math.cos(math.pi * epoch / epochs))
            optimizer.param_groups[0]["lr"] = config.learning_rate * part
        batches = train_data.epoch(
            config.batch_size,
            config.cap_per_speaker_emotion,
            config.masks,
            rng,
            jitter=config.jitter,
            hearings=2 if config.consistency else 1,
        )
        loss = train_epoch(network, average, optimizer, batches, config)

        scores = answer(average.module, valid_data, config.known).scores(valid_data, draws=0)
        ua = mean_ua(scores)
        if ua > best_ua:
            best_ua = ua
            checkpoint.save(best, _release(config, average.module, epoch, ua))
        checkpoint.save(
            last,
            {
                "config": asdict(config),
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "epoch": epoch + 1,
                "best_ua": best_ua,
            },
        )
        line = Epoch(
            number=epoch + 1,
            of=epochs,
            loss=loss,
            valid_ua=ua,
            valid={corpus: score.ua for corpus, score in scores.items()},
            best_ua=best_ua,
            seconds=time.monotonic() - began,
        )
        with log.open("a") as file:
            print(json.dumps(asdict(line)), file=file)
        told(line)

    # ---- the best one: calibrated on the validation speakers, tested once ---------------------
    state = checkpoint.load(best)
    chosen = EmotionNetwork(config.network)
    chosen.load_state_dict(state["network"])
    on_valid = answer(chosen, valid_data, config.known)
    on_test = answer(chosen, test_data, config.known)
    state["temperature"] = temperature(on_valid.emotion, torch.from_numpy(valid_data.emotion))
    state["scores"] = {
        "valid": {name: score.as_dict() for name, score in on_valid.scores(valid_data).items()},
        "test": {name: score.as_dict() for name, score in on_test.scores(test_data).items()},
    }
    state["trained_on"] = _trained_on(split)
    checkpoint.save(best, state)
    return best


def _release(
    config: TrainConfig, network: torch.nn.Module, epoch: int, ua: float
) -> dict[str, Any]:
    """What export needs of the best epoch."""
    return {
        "config": asdict(config),
        "network": network.state_dict(),
        "epoch": epoch + 1,
        "valid_ua": ua,
    }


def _trained_on(split: Split) -> dict[str, dict[str, Any]]:
    """Which corpora, how much of each, and whose voices were held out."""

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


def main(config: TrainConfig, corpora: Path, out: Path, cache: Path) -> Path:
    """What `kanjo train` does once its options are read."""
    split = speaker_split(read_corpora(corpora), config.test_fold, config.folds, config.seed)
    with tqdm(desc="training", total=config.epochs, unit="epoch") as progress:

        def told(epoch: Epoch) -> None:
            progress.total = epoch.of
            progress.update(epoch.number - progress.n)
            progress.set_postfix(
                loss=f"{epoch.loss:.3f}",
                valid_ua=f"{epoch.valid_ua:.3f}",
                best=f"{epoch.best_ua:.3f}",
            )

        return train(config, split, out, cache, told)
