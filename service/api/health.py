"""Whether it lives, whether it works, and how much it has to do."""

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.api.services import ServicesDep
from service.store.store import StoreUnavailable

router = APIRouter(tags=["health"])

PING_S = 1.0  # whoever asks does not wait long either


@router.get("/healthz")
async def healthz(services: ServicesDep) -> dict[str, object]:
    """The process answers, and which model it has."""
    meta = services.scorer.meta
    return {
        "status": "ok",
        "model": {"name": meta.name, "version": meta.version, "commit": meta.commit},
        "device": services.scorer.device,
        "embedded": services.store.embedded,
    }


@router.get("/readyz", responses={503: {"description": "not ready; says what is missing"}})
async def readyz(services: ServicesDep) -> JSONResponse:
    """Calls can be taken: the model is warm, Redis answers, nobody has told it to stop."""
    try:
        async with asyncio.timeout(PING_S):
            await services.store.ping()
        redis = True
    except (StoreUnavailable, TimeoutError):
        redis = False
    checks = {
        "model_warm": services.warm.is_set(),
        "redis": redis,
        "not_stopping": not services.stopping.is_set(),
    }
    ready = all(checks.values())
    return JSONResponse({"ready": ready, **checks}, 200 if ready else 503)


@router.get("/metrics")
async def metrics(services: ServicesDep) -> Response:
    """For Prometheus."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
