"""How the process holds its memory: settings of the allocator and of the garbage collector."""

import ctypes
import gc
import sys

# glibc's names and numbers (malloc.h). By default both thresholds grow to the size of the largest
# block that was ever freed, up to 32 MiB, and a heap in which hundreds of calls came and went is
# given back only at its end. Fixed at their first values, each call's buffers are mapped on their
# own or trimmed, and go back to the system with the call.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
THRESHOLD_BYTES = 131_072


def limit_retention() -> bool:
    """Has the allocator give freed memory back to the system; returns False if it can't be told.

    It must be called before the process allocates much. Other allocators than glibc's need no
    such setting, or have others.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return all(mallopt(name, THRESHOLD_BYTES) == 1 for name in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))


def exempt_permanent_objects() -> None:
    """Has the collector pass over all objects of now, which are there to stay.

    torch has a quarter of a million. With them a collection of all objects takes long and, because
    it waits for a quarter more, comes rarely.
    """
    gc.collect()
    gc.freeze()
