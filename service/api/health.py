"""Routes for supervisors: liveness, readiness and metrics."""

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from service.access.roles import Role
from service.api.access import IdentityDep
from service.api.services import ServicesDep

router = APIRouter(tags=["health"])


class Ready(BaseModel, frozen=True):
    """Whether a new call would be taken and what it brings kept: what strangers are told."""

    ready: bool


class Degraded(BaseModel, frozen=True):
    """Something that is wrong although calls are taken."""

    what: str  # a phrase for people, which begins with the part: Redis, disk, outbox
    since: float  # wall clock, epoch seconds


class Readiness(Ready, frozen=True):
    """Whether a new call would be taken, and what is wrong: what viewers are told."""

    model_warm: bool
    not_stopping: bool
    room_for_calls: bool
    writes_kept: bool
    degraded: list[Degraded]


@router.get("/healthz")
async def healthz(services: ServicesDep, identity: IdentityDep) -> dict[str, object]:
    """Returns `ok`, as long as the process replies, and to viewers which model runs."""
    if not identity.may(Role.VIEWER):
        return {"status": "ok"}
    meta = services.scorer.meta
    return {
        "status": "ok",
        "model": {"name": meta.name, "version": meta.version, "commit": meta.commit},
        "device": services.scorer.device,
        "embedded": services.store.embedded,
    }


ANSWER = {"model": Readiness | Ready}


@router.get(
    "/readyz",
    responses={200: ANSWER, 503: {**ANSWER, "description": "not ready; says what is missing"}},
)
async def readyz(services: ServicesDep, identity: IdentityDep) -> JSONResponse:
    """Returns 200 if a new call would be taken and what it brings kept, by Redis or by the disk.

    `degraded` names what is wrong all the same, and since when. None of it is a reason to end live
    calls: a supervisor that restarts the service must ask /healthz. Only viewers are told more than
    whether it is ready.
    """
    checks = {
        "model_warm": services.warm.is_set(),
        "not_stopping": not services.stopping.is_set(),
        "room_for_calls": not services.calls.is_full,
        "writes_kept": services.store.keeps_writes,
    }
    ready = all(checks.values())
    if not identity.may(Role.VIEWER):
        return JSONResponse({"ready": ready}, 200 if ready else 503)
    degraded = [Degraded(what=one.what, since=one.since) for one in services.problems]
    answer = Readiness(ready=ready, **checks, degraded=degraded)
    return JSONResponse(answer.model_dump(), 200 if ready else 503)


@router.get("/metrics")
async def metrics(services: ServicesDep) -> Response:
    """Returns the metrics in Prometheus' text format."""
    services.metrics.tasks.set(len(asyncio.all_tasks()))
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
