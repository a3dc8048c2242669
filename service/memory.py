"""How the process holds its memory: settings of the allocator and of the garbage collector."""

import asyncio
import ctypes
import gc
import sys

GIVE_BACK_S = 15.0


def give_back() -> bool:
    """Gives memory that is allocated and not in use back to the system; returns False if it can't.

    glibc keeps what hundreds of calls have freed, in heaps that are given back only at their ends.
    Fixed thresholds of the allocator (mallopt) avoid that as well, but then each tensor is mapped
    anew, and scoring takes half as long again.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:  # another allocator than glibc's
        return False
    trim(0)  # without the interpreter's lock
    return True


async def keep_giving_back(every_s: float = GIVE_BACK_S) -> None:
    """Gives memory back every `every_s` seconds, in a thread, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(give_back)


def exempt_permanent_objects() -> None:
    """Has the collector pass over all objects of now, which are there to stay.

    torch has a quarter of a million. With them a collection of all objects takes long and, because
    it waits for a quarter more, comes rarely.
    """
    gc.collect()
    gc.freeze()
