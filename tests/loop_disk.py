"""A disk of a file for tests, whose writes can be made to hang, or to fail with I/O errors."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.small_disk import SmallDisk, small_disk

LOWER_KB = 8_192
SIZE_KB = 16_384  # more than the disk below has room for


class LoopDisk(SmallDisk):
    """A file system of ext4 without a journal at `folder`, in a file on a small disk.

    `fill` takes the room below: what the file system has room for can't be written all the same,
    and the kernel reports EIO, as for a broken disk.
    """

    def __init__(self, folder: Path, below: SmallDisk) -> None:
        super().__init__(folder, SIZE_KB)
        self._below = below

    def fill(self) -> None:
        """Makes every write to a new place of the disk fail with EIO."""
        self._below.fill()

    def free(self) -> None:
        """Makes writes succeed again."""
        self._below.free()

    def hang(self) -> None:
        """Makes every write hang until `go_on`."""
        subprocess.run(["fsfreeze", "--freeze", str(self.folder)], check=True)

    def go_on(self) -> None:
        """Lets writes that hang succeed; does nothing if none hang."""
        subprocess.run(["fsfreeze", "--unfreeze", str(self.folder)], capture_output=True)


@contextmanager
def loop_disk(folder: Path) -> Iterator[LoopDisk]:
    """Mounts the disk; the test is skipped where that is not allowed."""
    for program in ("mkfs.ext4", "fsfreeze"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}, of Debian's e2fsprogs or util-linux")
    with small_disk(folder.with_name(f"{folder.name}-below"), LOWER_KB) as below:
        image = below.folder / "image"
        with image.open("wb") as file:
            file.truncate(SIZE_KB * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", str(image)], check=True)
        folder.mkdir()
        if subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True).returncode:
            pytest.skip("loop devices can't be mounted here")
        disk = LoopDisk(folder, below)
        try:
            yield disk
        finally:
            disk.go_on()
            disk.free()
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
