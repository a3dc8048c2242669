"""Trains one network on the corpora: `kanjo train --corpora FOLDER --out runs/first`.

Everything random is drawn from (seed, epoch), and a checkpoint is written after every epoch, so
that a training that was interrupted, by Ctrl-C or by kill -9, goes on to the very same weights.
"""

import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from model.features import FeatureSpec
from model.gate import GateSpec
from model.network import PRESETS, EmotionNetwork, NetworkConfig
from training import checkpoint
from training.augment import TELEPHONE, TRAINING_LINES, MaskSpec
from training.dataset import Batch, Dataset
from training.losses import multi_task_loss
from training.manifest import Utterance, read_corpora
from training.metrics import Score, score_corpora
from training.splits import Split, speaker_split


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a training's result; saved in its checkpoints and in the artifact."""

    network: NetworkConfig = PRESETS["paper"]
    features: FeatureSpec = FeatureSpec()
    gate: GateSpec = GateSpec()
    # Data
    folds: int = 5
    test_fold: int = 0
    cap_per_speaker_emotion: int = 25  # utterances an epoch
    least_s: float = 1.5  # shortest cut of a longer utterance; the service's first window
    masks: MaskSpec = MaskSpec()
    # Loss (paper section 2)
    ser_weight: float = 0.8  # lambda
    selective: bool = True
    label_smoothing: float = 0.0  # the paper has none
    # Optimiser (paper section 4.2; "decay rate" is read as weight decay)
    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    cosine: bool = False  # the learning rate falls to zero over the training; constant in the paper
    averaging: float = 0.0  # decay a step of the weights' average, which is the model; 0: none
    seed: int = 0


RECIPES = {
    "paper": TrainConfig(),
    # The shipped model's: small, so it can take larger steps and needs fewer epochs.
    "compact": TrainConfig(
        network=PRESETS["compact"],
        epochs=80,
        batch_size=16,
        learning_rate=1e-3,
        cosine=True,
        averaging=0.995,
        label_smoothing=0.05,
    ),
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network says of a dataset, in the dataset's order."""

    emotion_logits: Tensor  # (N, 4)
    style_logits: Tensor  # (N, 2)

    def scores(self, data: Dataset, draws: int = 1000) -> dict[str, Score]:
        return score_corpora(
            data.utterances,
            data.emotion,
            self.emotion_logits.argmax(1).numpy(),
            self.style_logits.argmax(1).numpy() == data.style,
            draws,
        )


@torch.inference_mode()
def answer(network: torch.nn.Module, data: Dataset, batch_size: int = 64) -> Answers:
    """The logits of every utterance over the telephone, uncut."""
    network.eval()
    emotion = torch.empty(len(data), 4)
    style = torch.empty(len(data), 2)
    for batch in data.in_order(batch_size):
        emotion[batch.rows], style[batch.rows] = network(batch.frames, batch.lengths)
    return Answers(emotion, style)


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
    """One pass over the batches; the mean loss."""
    network.train()
    losses = []
    for batch in batches:
        emotion_logits, style_logits = network(batch.frames, batch.lengths)
        loss = multi_task_loss(
            emotion_logits,
            style_logits,
            batch.emotion,
            batch.style,
            ser_weight=config.ser_weight,
            selective=config.selective,
            label_smoothing=config.label_smoothing,
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        average.update_parameters(network)
        losses.append(loss.item())
    return float(np.mean(losses))


def train(config: TrainConfig, split: Split, out: Path, cache: Path) -> Path:
    """Trains, going on from `out/last.pt` if that is there; gives the path of the best checkpoint.

    Writes `last.pt` (to go on from) and `log.jsonl` (a line an epoch) after every epoch, `best.pt`
    when the validation speakers say so, and the temperature and the test scores into it at the end.

    Raises:
        CheckpointError: `last.pt` is unreadable or was made with another config.
        RecordingError: an utterance can't be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    last, best, log = out / "last.pt", out / "best.pt", out / "log.jsonl"

    # ---- data -------------------------------------------------------------------------------
    spec, gate = config.features, config.gate
    train_data = Dataset(split.train, TRAINING_LINES, spec, gate, cache)
    valid_data = Dataset(split.valid, [TELEPHONE], spec, gate, cache)
    test_data = Dataset(split.test, [TELEPHONE], spec, gate, cache)
    least_frames = round(config.least_s / spec.hop_s)

    # ---- network and optimiser, new or as they were -----------------------------------------
    torch.manual_seed(config.seed)
    network = EmotionNetwork(config.network)
    ema = get_ema_multi_avg_fn(config.averaging)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
    optimizer = torch.optim.Adam(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    done, best_ua = 0, -1.0
    if last.exists():
        state = checkpoint.load(last)
        checkpoint.same_config(state, config, last)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        done, best_ua = state["epoch"], state["best_ua"]

    # ---- epochs -----------------------------------------------------------------------------
    progress = tqdm(
        range(done, config.epochs), "training", config.epochs, initial=done, unit="epoch"
    )
    for epoch in progress:
        began = time.monotonic()
        rng = np.random.default_rng([config.seed, epoch])
        torch.manual_seed(int(rng.integers(2**31)))
        if config.cosine:
            part = 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
            optimizer.param_groups[0]["lr"] = config.learning_rate * part
        batches = train_data.epoch(
            config.batch_size, least_frames, config.cap_per_speaker_emotion, config.masks, rng
        )
        loss = train_epoch(network, average, optimizer, batches, config)

        scores = answer(average.module, valid_data).scores(valid_data, draws=0)
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
        line = {
            "epoch": epoch,
            "loss": loss,
            "valid_ua": ua,
            "seconds": time.monotonic() - began,
            "valid": {corpus: score.ua for corpus, score in scores.items()},
        }
        with log.open("a") as file:
            print(json.dumps(line), file=file)
        progress.set_postfix(loss=f"{loss:.3f}", valid_ua=f"{ua:.3f}", best=f"{best_ua:.3f}")

    # ---- the best one: calibrated on the validation speakers, tested once ---------------------
    state = checkpoint.load(best)
    chosen = EmotionNetwork(config.network)
    chosen.load_state_dict(state["network"])
    on_valid, on_test = answer(chosen, valid_data), answer(chosen, test_data)
    state["temperature"] = temperature(
        on_valid.emotion_logits, torch.from_numpy(valid_data.emotion)
    )
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
    return train(config, split, out, cache)
