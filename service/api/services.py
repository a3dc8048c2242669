"""The services of one running process, wired together by `app` and given to the routes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import HTTPConnection

from service.access.access import Access
from service.access.login import Logins
from service.access.nonces import KeptNonces
from service.access.oidc import SingleSignOn
from service.access.roles import Role
from service.alerts.policy_watch import PolicyWatch
from service.api.event_text import EventText
from service.api.heartbeat import Heartbeat
from service.api.numbers import Numbers
from service.api.problem import HttpProblem
from service.api.uploads import Uploads
from service.calls.registry import CallRegistry
from service.connections import Connections
from service.logs import EntryLimit
from service.metrics import Metrics
from service.scoring.batcher import Batcher
from service.scoring.torch_scorer import TorchScorer
from service.settings import Settings
from service.store.problems import Problem
from service.store.store import Store
from service.telephony.shared.authenticator import Authenticator
from service.telephony.shared.facts import FactReader
from service.webhooks.webhooks import Webhooks


class OpenConnection(Protocol):
    """What the service does with a client's connection when it stops."""

    def reconnect(self) -> None:
        """Asks the client to continue on another server, if its protocol can express that."""

    def end(self, reason: str) -> None:
        """Ends the call and the connection in the way of the client's protocol."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services, the states and the limits that all routes share."""

    settings: Settings
    scorer: TorchScorer
    batcher: Batcher
    store: Store
    calls: CallRegistry
    metrics: Metrics
    authenticators: Mapping[str, Authenticator]  # by bridge
    access: Access
    logins: Logins
    nonces: KeptNonces  # of handshakes that were accepted
    heartbeat: Heartbeat
    webhooks: Webhooks
    single_sign_on: SingleSignOn | None = None
    numbers: Numbers = field(default_factory=lambda: Numbers(Role.OPERATOR))
    event_text: EventText = field(default_factory=EventText)  # of the stream of events
    facts: FactReader = field(default_factory=FactReader)  # from metadata
    connections: set[OpenConnection] = field(default_factory=set)
    # Uploads in progress, and how many of them are decoded in memory at the same time; limited so
    # that they do not slow live calls down.
    uploads: Uploads = field(default_factory=Uploads)
    recordings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    listening: asyncio.Event = field(default_factory=asyncio.Event)  # the server accepts requests
    warm: asyncio.Event = field(default_factory=asyncio.Event)  # the model is warmed up
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # no new calls are admitted
    failed: asyncio.Event = field(default_factory=asyncio.Event)  # a required task has failed
    policy: PolicyWatch | None = None
    rejections: EntryLimit = field(default_factory=EntryLimit)  # of connections, in the log
    limits: Connections = field(default_factory=Connections)  # of open connections
    last_replies_s: float = 3.0  # for a client to read its last replies and the close
    upload_within_s: float = 300.0  # for the whole body of an upload

    @property
    def problems(self) -> list[Problem]:
        """What is wrong now, of the store and of the policy file; empty if everything works."""
        found = self.store.problems
        if self.policy and (problem := self.policy.problem):
            found.append(Problem(problem.what, problem.since))
        return found

    def require_open(self) -> None:
        """Raises HttpProblem 503 before the model is warmed up and while the service stops."""
        if self.stopping.is_set():
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "a call at the service's end", "another server"
            )
        self.require_warm()

    def require_warm(self) -> None:
        """Raises HttpProblem 503 before the model is warmed up."""
        if not self.warm.is_set():
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "a request at start-up", "/readyz first"
            )


async def _services(connection: HTTPConnection) -> Services:  # plain `def` would cost a thread
    services: Services = connection.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
