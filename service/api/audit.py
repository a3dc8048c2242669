"""The route that lists who did what."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.api.period import From
from service.api.services import ServicesDep
from service.store.audit import AuditPage

router = APIRouter(prefix="/v1", tags=["audit"])

Limit = Annotated[int, Query(ge=1, le=1000)]
Session = Annotated[str | None, Query(max_length=100, description="only what was done to it")]
Before = Annotated[
    str | None,
    Query(pattern=r"^[0-9]{1,19}-[0-9]{1,19}$", description="`next` of an earlier page"),
]


@router.get("/audit")
async def audit(
    services: ServicesDep,
    since: From = None,
    session: Session = None,
    before: Before = None,
    limit: Limit = 100,
) -> AuditPage:
    """Returns what people did, newest first; `next` is the `before` of the next page.

    With a session a page may be shorter than its limit although another one follows.
    """
    return await services.store.audit.page(
        before, limit, session=session, since=since.timestamp() if since else None
    )
