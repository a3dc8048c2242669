"""What calls leave goes back to the system, measured in processes of their own."""

import gc
import subprocess
import sys

import pytest

from tests.limits import ENOUGH_S
from tests.paths import ROOT
from tests.service.api.conftest import ready, running

# Many blocks of a megabyte, each with something small behind it that stays.
PROGRAM = """
import sys
from service import memory

def rss_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

bytearray(30_000_000)  # by default blocks of this size are kept from now on
before = rss_mb()
blocks = [(bytearray(b"x" * 1_000_000), b"y" * 100_000) for _ in range(200)]
stay = [small for _, small in blocks]
del blocks
if sys.argv[1] == "given back" and not memory.give_back():
    sys.exit("no glibc")
print(rss_mb() - before)
"""


def kept_mb(mode: str) -> float:
    command = [sys.executable, "-c", PROGRAM, mode]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=ENOUGH_S)
    if done.stderr.strip() == "no glibc":
        pytest.skip("the allocator is not glibc's")
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_freed_memory_goes_back_to_the_system() -> None:
    assert kept_mb("given back") < 50 < 150 < kept_mb("by default")


def test_after_warm_up_the_collector_passes_over_what_stays() -> None:
    gc.unfreeze()
    try:
        with running() as server:
            ready(server)
            assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
