"""The route that lists who did what."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.api.services import ServicesDep
from service.store.audit import AuditPage

router = APIRouter(prefix="/v1", tags=["audit"])

Limit = Annotated[int, Query(ge=1, le=1000)]


Before = Annotated[
    str | None,
    Query(pattern=r"^[0-9]{1,19}-[0-9]{1,19}$", description="`next` of an earlier page"),
]


@router.get("/audit")
async def audit(services: ServicesDep, before: Before = None, limit: Limit = 100) -> AuditPage:
    """Returns what people did, newest first; `next` is the `before` of the next page."""
    return await services.store.audit.page(before, limit)
