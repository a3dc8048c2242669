"""Routes for supervisors: liveness, readiness and metrics."""

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.api.services import ServicesDep
from service.store.errors import StoreUnavailable

router = APIRouter(tags=["health"])

REDIS_TIMEOUT_S = 1.0  # shorter than the usual timeout of a readiness probe


@router.get("/healthz")
async def healthz(services: ServicesDep) -> dict[str, object]:
    """Returns `ok` and which model runs."""
    meta = services.scorer.meta
    return {
        "status": "ok",
        "model": {"name": meta.name, "version": meta.version, "commit": meta.commit},
        "device": services.scorer.device,
        "embedded": services.store.embedded,
    }


@router.get("/readyz", responses={503: {"description": "not ready; says what is missing"}})
async def readyz(services: ServicesDep) -> JSONResponse:
    """Returns 200 if calls can be accepted: model warm, Redis up, not stopping."""
    try:
        async with asyncio.timeout(REDIS_TIMEOUT_S):
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
    """Returns the metrics in Prometheus' text format."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
