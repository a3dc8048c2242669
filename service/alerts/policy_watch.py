"""The policy file as it is now: read at the start and again whenever it changes."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.alerts.policy_file import LONGEST, Policy, PolicyError, parse_policy, version_of
from service.errors import KanjoError

log = structlog.get_logger()

POLL_S = 2.0
UNRECORDED_LIMIT = 100  # versions that the audit does not have yet; the oldest are given up


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """Why the file as it is now is not in use."""

    what: str
    since: float  # wall clock, epoch seconds


class PolicyWatch:
    """The policy in use: a new version of the file that is wrong is refused, and the old one stays.

    Args:
        path: the file.
        record: records that a version, by its name, is in use; it may raise a KanjoError, and is
            then called again later.
        poll_s: how often it is looked whether the file has changed.
        wall_clock: epoch seconds.

    Raises:
        PolicyError: the file can't be used as it is at the start.
    """

    def __init__(
        self,
        path: Path,
        record: Callable[[str], Awaitable[None]],
        *,
        poll_s: float = POLL_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._record = record
        self._poll_s = poll_s
        self._wall_clock = wall_clock
        self._wake = asyncio.Event()
        self._seen = self._signature()
        self._unrecorded: deque[str] = deque(maxlen=UNRECORDED_LIMIT)
        self.problem: PolicyProblem | None = None
        self.current, self.version = _read(path)
        self._unrecorded.append(self.version)

    def reload(self) -> None:
        """Makes `run` read the file now, whether it seems changed or not."""
        self._seen = None
        self._wake.set()

    async def run(self) -> None:
        """Follows the file until cancelled."""
        log.info("policy", file=str(self._path), version=self.version)
        while True:
            await self._record_versions()
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            signature = await asyncio.to_thread(self._signature)
            if signature != self._seen:
                self._seen = signature
                await self._follow()

    async def _follow(self) -> None:
        """Takes the file as it is now, or refuses it."""
        try:
            policy, version = await asyncio.to_thread(_read, self._path)
        except PolicyError as error:
            since = self.problem.since if self.problem else self._wall_clock()
            self.problem = PolicyProblem(f"policy: the new version is not in use: {error}", since)
            log.error("policy_refused", problem=str(error), in_use=self.version)
            return
        self.problem = None
        if version == self.version:
            return
        self.current, self.version = policy, version
        self._unrecorded.append(version)
        log.info("policy", file=str(self._path), version=version)

    async def _record_versions(self) -> None:
        try:
            while self._unrecorded:
                await self._record(self._unrecorded[0])
                self._unrecorded.popleft()
        except KanjoError:
            pass  # Redis is away, which is reported elsewhere; later again

    def _signature(self) -> tuple[int, ...] | None:
        """Returns what changes whenever the file does; None if there is none."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read(path: Path) -> tuple[Policy, str]:
    """Returns the file's policy and the name of its version. Raises PolicyError."""
    text = read_policy_text(path)
    return parse_policy(text, str(path)), version_of(text)


def read_policy_text(path: Path) -> str:
    """Returns the text of a policy file.

    Raises:
        PolicyError: it can't be read, or is no text in UTF-8.
    """
    try:
        with path.open("rb") as file:
            return file.read(4 * LONGEST + 1).decode()
    except OSError as error:
        problem = f"got no file that can be read ({error.strerror}), expected a policy"
        raise PolicyError(str(path), [problem]) from None
    except ValueError:
        raise PolicyError(str(path), ["got bytes that are no UTF-8, expected TOML"]) from None
