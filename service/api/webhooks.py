"""The routes that show how webhooks fare, and send again what was given up."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from service.api.access import IdentityDep
from service.api.problem import HttpProblem
from service.api.services import ServicesDep
from service.webhooks.delivery import DeadLetter
from service.webhooks.errors import NoSuchDeadLetter, ReceiverStopped
from service.webhooks.webhooks import ReceiverState

router = APIRouter(prefix="/v1", tags=["webhooks"])

MAX_ID = 2**63 - 1


class WebhooksState(BaseModel, frozen=True):
    """The receivers and what was given up; never addresses, secrets or what was sent."""

    receivers: list[ReceiverState]
    file_problem: str | None  # why the receivers are still those before the file changed
    disk_problem: str | None  # why undelivered notices are not kept over a restart
    dead_letters: list[DeadLetter]  # oldest first


@router.get("/webhooks")
async def webhooks(services: ServicesDep) -> WebhooksState:
    """Returns how each receiver fares, and the notices that were given up."""
    own = services.webhooks
    return WebhooksState(
        receivers=own.receivers,
        file_problem=own.unusable,
        disk_problem=own.failing,
        dead_letters=own.dead_letters,
    )


@router.post("/webhooks/dead/{id}/retry", status_code=HTTPStatus.ACCEPTED)
async def retry(
    id: Annotated[int, Path(ge=1, le=MAX_ID)], services: ServicesDep, identity: IdentityDep
) -> Response:
    """Sends a notice again that was given up."""
    try:
        services.webhooks.require_sendable(id)
        await services.store.audit.add(identity.name, "sent a webhook again")
        services.webhooks.retry(id)
    except NoSuchDeadLetter as unknown:
        raise HttpProblem(
            HTTPStatus.NOT_FOUND, f"dead letter {unknown.id}", "one of GET /v1/webhooks"
        ) from unknown
    except ReceiverStopped as stopped:
        raise HttpProblem(
            HTTPStatus.CONFLICT,
            f"a dead letter of {stopped.receiver!r}, which is stopped or was removed",
            "one of a receiver that takes notices",
        ) from stopped
    return Response(status_code=HTTPStatus.ACCEPTED)
