"""The wheel holds the application with all its files and nothing else."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The names of the files in the wheel, built now."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = folder.glob("*.whl")
    return frozenset(zipfile.ZipFile(path).namelist())


def test_the_wheel_has_three_packages_and_its_metadata(wheel: frozenset[str]) -> None:
    top_level = {name.split("/")[0] for name in wheel}
    [metadata] = [name for name in top_level if name.endswith(".dist-info")]
    assert metadata.startswith("kanjo-")
    assert top_level == {"service", "model", "training", metadata}


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("service", "*"),
        ("model", "*.py"),
        ("training", "*.py"),
        ("service/dashboard", "*"),
        ("service/replay/samples", "*"),
        ("model/weights", "*"),
    ],
)
def test_no_file_that_the_application_needs_is_left_out(
    folder: str, pattern: str, wheel: frozenset[str]
) -> None:
    needed = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert needed, f"no {pattern} in {folder}"
    assert needed - wheel == set()


@pytest.mark.parametrize("package", ["service", "model", "training"])
def test_the_tests_run_the_code_of_this_checkout(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")
