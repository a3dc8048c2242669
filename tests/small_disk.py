"""A disk of a chosen size for tests, which can be filled, made read-only and mended."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BALLAST = "ballast"


class SmallDisk:
    """A file system in memory, mounted at `folder`."""

    def __init__(self, folder: Path, size_kb: int) -> None:
        self.folder = folder
        self._size_kb = size_kb

    def fill(self) -> None:
        """Fills the disk with a file, so that no further write succeeds."""
        with (self.folder / BALLAST).open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1024))
            except OSError:
                return

    def free(self) -> None:
        """Takes away what `fill` wrote."""
        (self.folder / BALLAST).unlink(missing_ok=True)

    def read_only(self, on: bool) -> None:
        """Refuses writes, or accepts them again."""
        mode = "ro" if on else "rw"
        options = f"remount,{mode},size={self._size_kb}k"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    @property
    def used_bytes(self) -> int:
        usage = os.statvfs(self.folder)
        return (usage.f_blocks - usage.f_bfree) * usage.f_frsize


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[SmallDisk]:
    """Mounts the disk; the test is skipped where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems can't be mounted here: run as root")
    try:
        yield SmallDisk(folder, size_kb)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
