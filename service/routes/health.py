"""Whether it lives, whether it works, and how much it has to do."""

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.routes.parts import PartsDep
from service.store import StoreUnavailable

router = APIRouter(tags=["health"])

PING_S = 1.0  # whoever asks does not wait long either


@router.get("/healthz")
async def healthz(parts: PartsDep) -> dict[str, object]:
    """The process answers, and which model it has."""
    meta = parts.scorer.meta
    return {
        "status": "ok",
        "model": {"name": meta.name, "version": meta.version, "commit": meta.commit},
        "device": parts.scorer.device,
        "embedded": parts.store.embedded,
    }


@router.get("/readyz", responses={503: {"description": "not ready; says what is missing"}})
async def readyz(parts: PartsDep) -> JSONResponse:
    """Calls can be taken: the model is warm, Redis answers, nobody has told it to stop."""
    try:
        async with asyncio.timeout(PING_S):
            await parts.store.ping()
        redis = True
    except (StoreUnavailable, TimeoutError):
        redis = False
    checks = {
        "model_warm": parts.warm.is_set(),
        "redis": redis,
        "not_stopping": not parts.stopping.is_set(),
    }
    ready = all(checks.values())
    return JSONResponse({"ready": ready, **checks}, 200 if ready else 503)


@router.get("/metrics")
async def metrics(parts: PartsDep) -> Response:
    """For Prometheus."""
    return Response(generate_latest(parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)
