"""The route that shows what Redis has not received."""

from fastapi import APIRouter
from pydantic import BaseModel

from service.api.services import ServicesDep
from service.store.outbox import DeadLetter
from service.store.problems import Problem

router = APIRouter(prefix="/v1", tags=["health"])


class OutboxState(BaseModel, frozen=True):
    """The writes that Redis has not received or can never apply; never their content."""

    pending_writes: int
    oldest_pending_s: float  # how long the oldest of them has waited
    problems: list[Problem]  # of store and policy file, as in /readyz
    dead_letters: list[DeadLetter]  # oldest first


@router.get("/outbox")
async def outbox(services: ServicesDep) -> OutboxState:
    """Returns what waits for Redis, what it can never apply, and what is wrong."""
    store = services.store
    return OutboxState(
        pending_writes=store.pending_writes,
        oldest_pending_s=store.oldest_pending_s,
        problems=services.problems,
        dead_letters=list(store.dead_letters),
    )
