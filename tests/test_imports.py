"""Who may import whom: the contracts in pyproject.toml hold, and each notices a trespass."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_contract_is_kept() -> None:
    checked = lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


TRESPASSES = [
    (
        "model/labels.py",
        "import service.events",
        "service and training stand on the model, apart from each other",
    ),
    (
        "training/__init__.py",
        "import service.events",
        "service and training stand on the model, apart from each other",
    ),
    (
        "service/app.py",
        "import training",
        "service and training stand on the model, apart from each other",
    ),
    (
        "training/data/manifest.py",
        "import training.study",
        "training imports run down its layers",
    ),
    (
        "service/scoring/torch_scorer.py",
        "import model.network",
        "the service uses the network only as an artifact",
    ),
    ("service/app.py", "import torch", "in the service only the scorer uses torch"),
    ("service/app.py", "from fakeredis import FakeRedis", "only the store uses Redis"),
    ("service/store/store.py", "import starlette", "only the edge uses FastAPI"),
    (
        "service/telephony/shared/provider.py",
        "import service.settings",
        "telephony is used by the service and uses none of it",
    ),
    (
        "service/telephony/twilio/bridge.py",
        "import asyncio",
        "bridges, authenticators, windows, alert policy, life cycle and events do no I/O",
    ),
]


@pytest.mark.parametrize(("module", "trespass", "contract"), TRESPASSES)
def test_a_trespass_breaks_its_contract(
    module: str, trespass: str, contract: str, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("service", "model", "training"):
        modules_alone = shutil.ignore_patterns("__pycache__", "weights", "samples", "results")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=modules_alone)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{trespass}\n")

    checked = lint_imports(tmp_path)

    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert f"{contract} BROKEN" in checked.stdout


def test_each_contract_is_proved_by_a_trespass() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {contract["name"] for contract in project["tool"]["importlinter"]["contracts"]}
    assert {contract for _, _, contract in TRESPASSES} == contracts
