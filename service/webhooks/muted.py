"""Which alerts are muted now, by people or by the policy file: no receiver is notified."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from model.labels import Emotion
from service.store.errors import StoreUnavailable
from service.store.views import MutesView, MuteView
from service.webhooks.notice import Notice

POLL_S = 2.0


class Policy(Protocol):
    """What is required of the policy file's content."""

    def muted_until(self, queue: str | None, emotion: Emotion, now: float) -> float | None:
        """Returns until when (epoch seconds) an alert is muted; None: it is not muted now."""


class Muted:
    """Knows the mutes that people set, as they were at most `poll_s` ago, and the policy's.

    While Redis is away, those that were known last hold until they end.

    Args:
        load: returns the mutes that people set; raises StoreUnavailable.
        policy: returns the policy in use; None: there is no file.
        poll_s: how often they are asked for.
        wall_clock: epoch seconds.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[MutesView]],
        policy: Callable[[], Policy | None],
        *,
        poll_s: float = POLL_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._load = load
        self._policy = policy
        self._poll_s = poll_s
        self._wall_clock = wall_clock
        self._mutes: list[MuteView] = []

    def until(self, notice: Notice) -> float | None:
        """Returns until when (epoch seconds) the alert of a notice is muted; None: it is not."""
        now = self._wall_clock()
        ends = [mute.until for mute in self._mutes if _is_of(mute, notice) and mute.until > now]
        if policy := self._policy():
            end = policy.muted_until(notice.queue, Emotion(notice.emotion), now)
            ends.extend([end] if end else [])
        return max(ends, default=None)

    async def run(self, changed: Callable[[], None]) -> None:
        """Asks again and again; `changed` is called when other mutes came."""
        while True:
            try:
                mutes = (await self._load()).mutes
            except StoreUnavailable:
                mutes = self._mutes
            if mutes != self._mutes:
                self._mutes = mutes
                changed()
            await asyncio.sleep(self._poll_s)


def _is_of(mute: MuteView, notice: Notice) -> bool:
    return (
        mute.session in (None, notice.session)
        and mute.queue in (None, notice.queue)
        and mute.emotion in (None, notice.emotion)
    )
