"""Errors over HTTP as problem details (RFC 9457), `application/problem+json`.

Problems that the service itself finds also carry `got` and `expected`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.access.errors import AccessUnusable
from service.store.errors import (
    BadCursor,
    DiskFailed,
    StoreUnavailable,
    TooManyAlerts,
    TooManyMutes,
)

log = structlog.get_logger()

RETRY_AFTER_S = 5  # of every 503: the service starts, stops or is busy for seconds


class HttpProblem(Exception):
    """An error that a route raises to end its request with a problem response."""

    def __init__(
        self,
        status: HTTPStatus,
        got: str,
        expected: str,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(status, got, expected)
        self.status = status
        self.got = got
        self.expected = expected
        self.headers = headers
        self.members = members  # further ones of the body


def install(app: FastAPI) -> None:
    """Makes the app send every error as a problem response."""
    app.add_exception_handler(HttpProblem, _handle_problem)
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    app.add_exception_handler(BadCursor, _handle_bad_request)
    app.add_exception_handler(StoreUnavailable, _handle_store_unavailable)
    app.add_exception_handler(DiskFailed, _handle_store_unavailable)
    app.add_exception_handler(TooManyAlerts, _handle_bad_request)
    app.add_exception_handler(TooManyMutes, _handle_too_many_mutes)
    app.add_exception_handler(AccessUnusable, _handle_access_unusable)
    app.add_exception_handler(Exception, _handle_failure)


def problem_response(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **extensions: Any
) -> JSONResponse:
    """Returns a response with the members of RFC 9457, section 3.1, and extension members."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": str(RETRY_AFTER_S), **(headers or {})}
    members = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        {**members, "detail": detail, **extensions},
        status,
        headers,
        media_type="application/problem+json",
    )


def response_to(problem: HttpProblem) -> JSONResponse:
    """Returns the response to a request that ends with this problem."""
    got, expected = problem.got, problem.expected
    detail = f"got {got}, expected {expected}"
    return problem_response(
        problem.status, detail, problem.headers, got=got, expected=expected, **problem.members
    )


async def _handle_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HttpProblem)
    return response_to(error)


async def _handle_http_exception(_: Request, error: Exception) -> JSONResponse:
    """Handles errors that the framework raises, such as an unknown path."""
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, str(error.detail), error.headers)


async def _handle_invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    got = f"{first['loc'][-1]} {first['input']!r}"[:200]
    expected = first["msg"].removeprefix("Input should be ")
    return problem_response(400, f"got {got}: {expected}", got=got, expected=expected)


async def _handle_bad_request(_: Request, error: Exception) -> JSONResponse:
    return problem_response(400, str(error))


async def _handle_store_unavailable(_: Request, error: Exception) -> JSONResponse:
    return problem_response(503, str(error))


async def _handle_too_many_mutes(_: Request, error: Exception) -> JSONResponse:
    return problem_response(409, str(error))


async def _handle_access_unusable(_: Request, error: Exception) -> JSONResponse:
    log.error("access_unusable", problem=str(error))
    return problem_response(503, "logins can't be kept now; the log says why")


async def _handle_failure(_: Request, __: Exception) -> JSONResponse:
    return problem_response(500, "the service failed; its log says why")
