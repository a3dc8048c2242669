"""Writes files that are either whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, and renames it to `path` when the block succeeds.

    A reader finds the previous file or the complete new one. If the block raises, the temporary
    file is removed and `path` is unchanged; if the process is killed, the temporary file remains
    and the next write replaces it. The temporary path keeps the suffix of `path`
    (`frames.part.npy`), because some libraries derive the format from it.
    """
    unfinished = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
