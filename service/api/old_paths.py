"""Redirects from the paths that the JSON API had before `/v1`."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse

router = APIRouter(include_in_schema=False)


@router.get("/calls")
@router.get("/calls/{call_id:path}")
@router.get("/alerts")
@router.get("/events")
async def moved(request: Request) -> RedirectResponse:
    """Redirects a GET, with its query, to the same path under `/v1`."""
    path: str = request.scope["raw_path"].decode("latin-1")
    query = request.url.query
    return RedirectResponse(f"/v1{path}" + (f"?{query}" if query else ""), 308)
