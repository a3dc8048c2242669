"""Measures the cost of a training epoch against the bare passes over the same batches.

    KANJO_CORPORA=... python -m tests.benchmarks training

The bar: for `compact`, an epoch, with drawing, batching, clipping and averaging, costs at most 1.3
times the forward pass, backward pass and step over the same batches, prepared beforehand.
Validation and checkpoints, which follow an epoch, are left out.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.network import EmotionNetwork
from training.data.dataset import Batch, Dataset
from training.data.manifest import folders_of, read_corpora
from training.losses import multi_task_loss
from training.recipes import RECIPES, TrainConfig
from training.train import train_epoch

UTTERANCES = 1000
ROUNDS = 3
THREADS = 1  # as each process of a study has
BAR = 1.3


def epoch(data: Dataset, config: TrainConfig, number: int) -> Iterator[Batch]:
    """Yields the batches of an epoch; the same number gives the same batches."""
    rng = np.random.default_rng(number)
    return data.epoch(config.batch_size, config.cap_per_speaker_emotion, config.masks, rng)


def bare(
    network: EmotionNetwork,
    optimizer: torch.optim.Optimizer,
    batches: list[Batch],
    config: TrainConfig,
) -> None:
    """Runs the forward pass, backward pass and step of every batch, and nothing else."""
    network.train()
    for batch in batches:
        loss = multi_task_loss(
            *network(*batch.inputs),
            batch.emotion,
            batch.style,
            ser_weight=config.ser_weight,
            selective=config.selective,
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def tables() -> Iterator[Table | str]:
    """Yields the table. Both alternate over the same batches; the best time of each counts."""
    if "KANJO_CORPORA" not in os.environ:
        yield "Training: KANJO_CORPORA is not set, expected the folders of the corpora"
        return
    torch.set_num_threads(THREADS)
    config = RECIPES["compact"]
    utterances = read_corpora(folders_of(os.environ["KANJO_CORPORA"]))
    drawn = np.random.default_rng(0).permutation(len(utterances))[:UTTERANCES]
    with tempfile.TemporaryDirectory() as folder:
        listed = [utterances[row] for row in drawn]
        data = Dataset(listed, config.lines, config.preparation, Path(folder))
        network = EmotionNetwork(config.network)
        ema = get_ema_multi_avg_fn(config.averaging)
        average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
        optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
        rounds = []
        for number in range(ROUNDS):
            batches = list(epoch(data, config, number))
            whole = partial(
                train_epoch, network, average, optimizer, epoch(data, config, number), config
            )
            rounds.append(
                (seconds(whole), seconds(partial(bare, network, optimizer, batches, config)))
            )
    whole_s, bare_s = (min(times) for times in zip(*rounds, strict=True))
    table = Table(
        f"{data.epoch_size(config.cap_per_speaker_emotion)} utterances",
        "s",
        title=f"Training, compact, {THREADS} thread",
    )
    table.add_row("an epoch as it is trained", f"{whole_s:.2f}")
    table.add_row("bare passes over its batches", f"{bare_s:.2f}")
    table.add_section()
    table.add_row("ratio", f"{whole_s / bare_s:.2f} (bar: at most {BAR})")
    yield table
