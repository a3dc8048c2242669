"""What routes are given: the parts that `app` has put together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from service.batcher import Batcher
from service.call import Calls
from service.doors.door import Door
from service.metrics import Metrics
from service.routes.problem import Problem
from service.scorer import TorchScorer
from service.settings import Settings
from service.store import Store

if TYPE_CHECKING:
    from service.routes.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Parts:
    """One running service."""

    settings: Settings
    scorer: TorchScorer
    batcher: Batcher
    store: Store
    calls: Calls
    metrics: Metrics
    doors: Mapping[str, Door]  # by bridge
    conversations: "set[Conversation]" = field(default_factory=set)  # under way
    # Recordings under way, and of these the ones in memory; none may crowd out live calls.
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))
    recordings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    warm: asyncio.Event = field(default_factory=asyncio.Event)  # the model has met every shape
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # no new calls are taken
    failed: asyncio.Event = field(default_factory=asyncio.Event)  # a part did; the service stops

    def require_open(self) -> None:
        """Raises Problem 503 while no calls are taken: at the beginning and at the end."""
        if self.stopping.is_set():
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "a call at the service's end", "another server"
            )
        self.require_warm()

    def require_warm(self) -> None:
        """Raises Problem 503 while the model is not ready."""
        if not self.warm.is_set():
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "a request at start-up", "/readyz first")


async def _parts(connection: HTTPConnection) -> Parts:  # plain `def` would cost a thread
    parts: Parts = connection.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(_parts)]
