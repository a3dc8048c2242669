"""The file of tokens and sessions, in memory, and never older than a second."""

import asyncio
from pathlib import Path

import structlog

from service.access.database import NOTHING, AccessDatabase, Contents
from service.access.errors import AccessUnusable

log = structlog.get_logger()

POLL_S = 0.5


class AccessBook:
    """Follows the file, so that decisions about requests need no disk.

    If the file can't be read while the service runs, what was read last holds and the log says so;
    whatever was revoked since then still gets in.

    Args:
        database: the file.
        poll_s: how often it is read; commands change it while the service runs.

    Raises:
        AccessUnusable: the file is there but can't be used.
    """

    def __init__(self, database: AccessDatabase, poll_s: float = POLL_S) -> None:
        self.database = database
        self._poll_s = poll_s
        self._unusable = False
        self.contents: Contents = NOTHING
        # Tokens that were there once count for as long as the service runs: access that is closed
        # must not open because someone removes the file.
        self.ever_had_tokens = False
        self._take(database.contents())

    @property
    def path(self) -> Path:
        """Returns the path of the file of tokens and sessions."""
        return self.database.path

    async def refresh(self) -> None:
        """Reads the file.

        Raises:
            AccessUnusable: it is there but can't be used.
        """
        self._take(await asyncio.to_thread(self.database.contents))

    async def run(self) -> None:
        """Reads the file again and again, for as long as the service runs."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.refresh()
            except AccessUnusable as error:
                if not self._unusable:
                    log.error("access_unusable", problem=str(error))
                self._unusable = True
            else:
                self._unusable = False

    def _take(self, contents: Contents) -> None:
        if contents.ever_had_tokens and not self.ever_had_tokens:
            self.ever_had_tokens = True
            log.info("api_tokens_exist", note="every route asks for credentials")
        self.contents = contents
