"""What routes are given: the services that `app` has put together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from service.api.problem import HttpProblem
from service.calls.registry import CallRegistry
from service.metrics import Metrics
from service.scoring.batcher import Batcher
from service.scoring.torch_scorer import TorchScorer
from service.settings import Settings
from service.store.store import Store
from service.telephony.shared.authenticator import Authenticator

if TYPE_CHECKING:
    from service.api.connection import Connection


@dataclass(frozen=True, slots=True)
class Services:
    """One running service."""

    settings: Settings
    scorer: TorchScorer
    batcher: Batcher
    store: Store
    calls: CallRegistry
    metrics: Metrics
    authenticators: Mapping[str, Authenticator]  # by bridge
    connections: "set[Connection]" = field(default_factory=set)  # under way
    # Recordings under way, and of these the ones in memory; none may crowd out live calls.
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))
    recordings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    warm: asyncio.Event = field(default_factory=asyncio.Event)  # the model has met every shape
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # no new calls are taken
    failed: asyncio.Event = field(default_factory=asyncio.Event)  # a stream did; the service stops

    def require_open(self) -> None:
        """Raises Problem 503 while no calls are taken: at the beginning and at the end."""
        if self.stopping.is_set():
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "a call at the service's end", "another server"
            )
        self.require_warm()

    def require_warm(self) -> None:
        """Raises Problem 503 while the model is not ready."""
        if not self.warm.is_set():
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "a request at start-up", "/readyz first"
            )


async def _services(connection: HTTPConnection) -> Services:  # plain `def` would cost a thread
    services: Services = connection.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
