"""Routes by which people do something with an alert."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from service.access.identity import Identity
from service.alerts.lifecycle import Action, ActionKind, Why
from service.api.access import IdentityDep
from service.api.problem import HttpProblem
from service.api.services import Services, ServicesDep
from service.store.actions import ActionRefused, IdInUse
from service.store.errors import StoreUnavailable
from service.store.views import AlertView

router = APIRouter(prefix="/v1/alerts/{alert_id}", tags=["alerts"])

ClientId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{8,64}$",
        description="chosen by the client, a new one for each action: a request that is repeated "
        "with it changes nothing",
    ),
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Take(BaseModel, frozen=True, extra="forbid"):
    """The body of a request to take an alert, or to take it over."""

    id: ClientId


class HandOver(BaseModel, frozen=True, extra="forbid"):
    """The body of a request to hand an alert over."""

    id: ClientId
    to: Name


class Note(BaseModel, frozen=True, extra="forbid"):
    """The body of a request to note something about an alert."""

    id: ClientId
    text: Text


class Dismiss(BaseModel, frozen=True, extra="forbid"):
    """The body of a request to dismiss an alert."""

    id: ClientId
    why: Why


class Undo(BaseModel, frozen=True, extra="forbid"):
    """The body of a request to undo an action."""

    id: ClientId
    undoes: ClientId


@router.post("/take")
async def take(
    alert_id: str, body: Take, services: ServicesDep, identity: IdentityDep
) -> AlertView:
    """Takes an alert, so that everybody sees who has it."""
    return await _act(services, identity, alert_id, ActionKind.TAKE, body)


@router.post("/take-over")
async def take_over(
    alert_id: str, body: Take, services: ServicesDep, identity: IdentityDep
) -> AlertView:
    """Takes an alert from whoever has it, for admins: of who is gone, and can't hand it over."""
    return await _act(services, identity, alert_id, ActionKind.TAKE_OVER, body)


@router.post("/hand-over")
async def hand_over(
    alert_id: str, body: HandOver, services: ServicesDep, identity: IdentityDep
) -> AlertView:
    """Gives an alert that one has to somebody else."""
    return await _act(services, identity, alert_id, ActionKind.HAND_OVER, body)


@router.post("/note")
async def note(
    alert_id: str, body: Note, services: ServicesDep, identity: IdentityDep
) -> AlertView:
    """Notes something about an alert; the last note is shown."""
    return await _act(services, identity, alert_id, ActionKind.NOTE, body)


@router.post("/dismiss")
async def dismiss(
    alert_id: str, body: Dismiss, services: ServicesDep, identity: IdentityDep
) -> AlertView:
    """Dismisses an alert that nobody else has, with a reason."""
    return await _act(services, identity, alert_id, ActionKind.DISMISS, body)


@router.post("/undo")
async def undo(
    alert_id: str, body: Undo, services: ServicesDep, identity: IdentityDep
) -> AlertView:
    """Undoes one's own action, if it is the alert's last one and at most five seconds old."""
    return await _act(services, identity, alert_id, ActionKind.UNDO, body)


async def _act(
    services: Services, identity: Identity, alert_id: str, kind: ActionKind, body: BaseModel
) -> AlertView:
    """Applies an action; raises HttpProblem 404 and 409, and StoreUnavailable at once."""
    require_redis(services)
    action = Action(kind=kind, by=identity.name, **body.model_dump())
    answer = await services.store.actions.act(alert_id, action)
    match answer:
        case None:
            raise HttpProblem(
                HTTPStatus.NOT_FOUND, f"alert_id {alert_id!r}", "one of GET /v1/alerts"
            )
        case ActionRefused(refusal, alert):
            raise HttpProblem(
                HTTPStatus.CONFLICT,
                refusal.got,
                refusal.expected,
                reason=refusal.reason,
                by=refusal.by,
                at=refusal.at,
                alert=alert.model_dump(mode="json"),
            )
        case IdInUse(got, expected, alert):
            raise HttpProblem(
                HTTPStatus.CONFLICT,
                got,
                expected,
                reason="id_in_use",
                alert=alert.model_dump(mode="json"),
            )
    return answer


def require_redis(services: Services) -> None:
    """Raises StoreUnavailable if Redis is known to be away: what people do never waits for it."""
    if not services.store.redis_up:
        raise StoreUnavailable("it is away")
