"""What offline commands need before they import `training` and torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from service.cli.console import fail


@contextmanager
def needs_training() -> Iterator[None]:
    """Goes around imports that need the extra `training`; without it, fails with a sentence."""
    try:
        yield
    except ModuleNotFoundError as missing:
        fail(f"no module {missing.name!r}: training needs `pip install 'kanjo[training]'`")


def limit_threads(threads: int | None) -> None:
    """Limits torch's CPU threads; None leaves one a core. torch must not be imported yet."""
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when it is imported
