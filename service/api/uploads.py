"""Places for uploads, of which slow clients can't keep all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SLOW_BYTES_PER_S = 65_536.0  # an upload that is slower gives way to a new one
SLOW_AFTER_S = 5.0  # from when on its rate is known


class Upload:
    """One body that is being received."""

    def __init__(self, began_s: float, within_s: float) -> None:
        self.received = 0  # bytes
        self._began_s = began_s
        self._by_s = began_s + within_s
        self._timeout: asyncio.Timeout | None = None  # while a part is awaited

    @property
    def waiting(self) -> bool:
        """Whether the client is to send."""
        return self._timeout is not None

    def rate(self, now_s: float) -> float | None:
        """Returns its bytes a second so far; None as long as that is too early to judge."""
        age_s = now_s - self._began_s
        return self.received / age_s if age_s >= SLOW_AFTER_S else None

    @asynccontextmanager
    async def part(self) -> AsyncIterator[None]:
        """Limits the wait for the next part; raises TimeoutError after it."""
        try:
            async with asyncio.timeout_at(self._by_s) as self._timeout:
                yield
        finally:
            self._timeout = None

    def give_way(self) -> None:
        """Ends the wait for the client."""
        self._by_s = 0.0
        if self._timeout:
            self._timeout.reschedule(self._by_s)


class Uploads:
    """The uploads in progress, at most `most` of them.

    Args:
        most: uploads at the same time.
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._receiving: set[Upload] = set()
        self._places = asyncio.Semaphore(most)

    def locked(self) -> bool:
        """Returns whether all places are taken."""
        return self._places.locked()

    def make_place(self) -> bool:
        """Has the slowest upload give way; returns False if none is slow."""
        now_s = asyncio.get_running_loop().time()
        rates = {
            upload: rate
            for upload in self._receiving
            if upload.waiting and (rate := upload.rate(now_s)) is not None
        }
        slowest = min(rates, key=lambda upload: rates[upload], default=None)
        if slowest is None or rates[slowest] >= SLOW_BYTES_PER_S:
            return False
        self._receiving.discard(slowest)
        slowest.give_way()
        return True

    @asynccontextmanager
    async def begin(self, within_s: float) -> AsyncIterator[Upload]:
        """Takes a place for the block; waits for it if another upload gives way."""
        async with self._places:
            upload = Upload(asyncio.get_running_loop().time(), within_s)
            self._receiving.add(upload)
            try:
                yield upload
            finally:
                self._receiving.discard(upload)
