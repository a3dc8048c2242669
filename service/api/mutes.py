"""Routes that mute alerts, list what is muted, and end that."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from model.labels import Emotion
from service.api.access import IdentityDep
from service.api.alerts import ClientId, Name, require_redis
from service.api.problem import HttpProblem
from service.api.services import ServicesDep
from service.store.views import MutesView, MuteView

router = APIRouter(prefix="/v1", tags=["alerts"])

LONGEST_S = 31 * 86_400


class Mute(BaseModel, frozen=True, extra="forbid"):
    """The body of a request to mute alerts: those that match all of what it names."""

    id: ClientId
    until: float = Field(description="when it ends, epoch seconds; at most 31 days from now")
    session: Name | None = Field(None, description="of a call")
    queue: Name | None = None
    emotion: Emotion | None = None


@router.get("/mutes")
async def mutes(services: ServicesDep) -> MutesView:
    """Returns the mutes that have not ended, the first to end first."""
    return await services.store.mutes.all()


@router.post("/mutes")
async def mute(body: Mute, services: ServicesDep, identity: IdentityDep) -> MutesView:
    """Mutes alerts of a call, a queue or an emotion until a time, and returns all mutes.

    A muted alert is recorded, but it is no alarm; `muted_until` of the alert is its end.
    """
    require_redis(services)
    if not (body.session or body.queue or body.emotion):
        raise HttpProblem(HTTPStatus.BAD_REQUEST, "nothing", "a session, a queue or an emotion")
    now = await services.store.mutes.now()
    if not now < body.until <= now + LONGEST_S:
        raise HttpProblem(
            HTTPStatus.BAD_REQUEST,
            f"until {body.until}",
            f"a time after now, {now:.0f}, and within 31 days",
        )
    await services.store.mutes.add(
        MuteView(
            mute_id=body.id,
            session=body.session,
            queue=body.queue,
            emotion=body.emotion,
            until=body.until,
            by=identity.name,
            at=now,
        )
    )
    return await services.store.mutes.all()


@router.delete("/mutes/{mute_id}")
async def unmute(
    mute_id: Annotated[str, Path(max_length=64)], services: ServicesDep, identity: IdentityDep
) -> MutesView:
    """Ends a mute, if there still is one of this id, and returns the others."""
    require_redis(services)
    await services.store.mutes.remove(mute_id, identity.name)
    return await services.store.mutes.all()
