"""Errors over HTTP, as `application/problem+json` (RFC 9457): what came and what was expected."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.store.store import BadCursor, StoreUnavailable


class HttpProblem(Exception):
    """An answer that is an error."""

    def __init__(self, status: HTTPStatus, got: str, expected: str) -> None:
        super().__init__(status, got, expected)
        self.status = status
        self.got = got
        self.expected = expected


def _answer(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        {**body, "detail": detail, **more}, status, headers, media_type="application/problem+json"
    )


async def _problem(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HttpProblem)
    got, expected = problem.got, problem.expected
    detail = f"got {got}, expected {expected}"
    return _answer(problem.status, detail, got=got, expected=expected)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, str(error.detail), error.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    got = f"{first['loc'][-1]} {first['input']!r}"[:200]
    expected = first["msg"].removeprefix("Input should be ")
    return _answer(400, f"got {got}: {expected}", got=got, expected=expected)


async def _bad_cursor(_: Request, error: Exception) -> JSONResponse:
    return _answer(400, str(error))


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    return _answer(503, str(error))


async def _failed(_: Request, __: Exception) -> JSONResponse:
    return _answer(500, "the service failed; its log says why")


def install(app: FastAPI) -> None:
    """Every error of this app is a problem."""
    app.add_exception_handler(HttpProblem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(BadCursor, _bad_cursor)
    app.add_exception_handler(StoreUnavailable, _unavailable)
    app.add_exception_handler(Exception, _failed)
