"""Routes by which a call's caller is no longer listened to, or a call is forgotten."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Response

from service.api.access import IdentityDep
from service.api.problem import HttpProblem
from service.api.services import ServicesDep
from service.events import Consent

router = APIRouter(prefix="/v1", tags=["calls"])

Decision = Literal[Consent.GIVEN, Consent.REFUSED]


@router.put("/calls/{call_id:path}/consent", status_code=HTTPStatus.NO_CONTENT)
async def decide(
    call_id: str,
    consent: Annotated[Decision, Body(embed=True)],
    services: ServicesDep,
    identity: IdentityDep,
) -> Response:
    """Records whether the caller agrees to be analysed.

    A refusal stops the analysis at once and removes what there is of the call's latest session. It
    can't be taken back.
    """
    store = services.store
    view = await store.call(call_id)
    if view is None:
        raise _unknown(call_id)
    if consent is Consent.REFUSED:
        services.calls.refuse(view.session)
        await store.erase(call_id, [view.session], identity.name, "refused")
    elif view.state != "live":
        raise HttpProblem(HTTPStatus.CONFLICT, "consent to a call that has ended", "a live call")
    else:
        await store.audit.add(identity.name, "consented", session=view.session)
        if not services.calls.give_consent(view.session):  # it is another process's
            store.consent(view.session, call_id, Consent.GIVEN)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.delete("/calls/{call_id:path}", status_code=HTTPStatus.NO_CONTENT)
async def purge(call_id: str, services: ServicesDep, identity: IdentityDep) -> Response:
    """Removes every trace of a call, of all sessions with its id, but for one audit entry.

    A live call is no longer analysed.
    """
    sessions = await services.store.sessions(call_id)
    if not sessions:
        raise _unknown(call_id)
    for session in sessions:
        services.calls.refuse(session)
    await services.store.erase(call_id, sessions, identity.name, "purged")
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _unknown(call_id: str) -> HttpProblem:
    return HttpProblem(HTTPStatus.NOT_FOUND, f"call_id {call_id!r}", "one of GET /v1/calls")
