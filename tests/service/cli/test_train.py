import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import soundfile

from model.labels import EMOTIONS
from service.cli.train import train
from tests.child import child
from tests.limits import ENOUGH_S
from tests.service.cli.command import KANJO, invoke
from training import checkpoint
from training.recipes import RECIPES


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """One corpus of noises: five speakers, each emotion once."""
    folder = tmp_path / "corpora" / "noise"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    lines = ["path,corpus,style,language,speaker,emotion,duration_s"]
    for speaker in range(5):
        for emotion in EMOTIONS:
            name = f"{speaker}-{emotion}.flac"
            soundfile.write(folder / name, rng.integers(-9000, 9000, 8000, np.int16), 8000)
            lines.append(f"{name},noise,acted,none,s{speaker},{emotion},1.0")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder.parent


async def test_an_interrupted_training_prints_where_it_goes_on(
    corpora: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    # Not a pipe: without a terminal there is a line now and then, for which nothing may wait.
    log = tmp_path / "log"
    command = (
        "train", "--corpora", str(corpora), "--out", str(out), "--cache", str(tmp_path / "cache"),
        "--recipe", "compact", "--system", "mtl", "--epochs", "1000", "--test-fold", "2",
        "--seed", "5", "--threads", "1",
    )  # fmt: skip
    with log.open("wb") as file:
        async with child(*KANJO, *command, stderr=file) as training, asyncio.timeout(ENOUGH_S):
            while not (out / "last.pt").exists():
                assert training.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
            training.send_signal(signal.SIGINT)
            assert await training.wait() == 130, log.read_text()
    last = log.read_text().splitlines()[-1]
    assert last == f"kanjo: interrupted; the same command goes on from {out}/last.pt"
    config = checkpoint.load(out / "last.pt")["config"]
    chosen = (
        "epochs",
        "least_updates",
        "test_fold",
        "seed",
        "ser_weight",
        "selective",
        "learning_rate",
    )
    assert [config[name] for name in chosen] == [
        1000, 0, 2, 5, 0.8, False, RECIPES["compact"].learning_rate
    ]  # fmt: skip


def test_as_many_epochs_are_trained_as_were_asked_for(corpora: Path, tmp_path: Path) -> None:
    """The recipe alone would add epochs, as there are few utterances."""
    assert RECIPES["compact"].least_updates > 0
    out = tmp_path / "run"
    arguments = ["--corpora", corpora, "--out", out, "--cache", tmp_path / "cache", "--threads", 1]
    result = invoke("train", *arguments, "--recipe", "compact", "--epochs", "1")
    assert result.exit_code == 0, result.output
    assert len((out / "log.jsonl").read_text().splitlines()) == 1


def test_train_offers_every_recipe() -> None:
    offered = get_args(get_args(get_type_hints(train, include_extras=True)["recipe"])[0])
    assert set(offered) == set(RECIPES)


@pytest.mark.campaign
def test_train_takes_no_more_threads_than_it_is_given(tmp_path: Path) -> None:
    arguments = ["train", "--corpora", str(tmp_path), "--threads", "1"]
    script = (
        "import contextlib\n"
        "from service.cli.main import app\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    app({arguments!r})\n"
        "import torch\n"
        "print(torch.get_num_threads())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout == "1\n", ended.stderr


def test_train_without_corpora_is_a_sentence(tmp_path: Path) -> None:
    result = invoke("train", "--corpora", tmp_path)
    assert result.exit_code == 1
    assert f"kanjo: {tmp_path}: found no CORPUS/manifest.csv" in result.stderr
