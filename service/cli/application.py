"""Builds the application that `serve` and `demo` run."""

import socket
from typing import TYPE_CHECKING

from service.cli.console import fail

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.settings import Settings


def create_application(settings: "Settings") -> "FastAPI":
    """Returns the service's application; fails with a sentence if it can't be served."""
    _check_free(settings.listens_at, settings.port)

    from model.artifact import ArtifactError
    from service import logs
    from service.app import create_app
    from service.errors import KanjoError
    from service.store.errors import UnusableRedisUrl

    logs.configure(settings.log_level, settings.log_format)
    try:
        return create_app(settings)
    except UnusableRedisUrl as error:
        fail(f"KANJO_REDIS_URL: {error}", 2)
    except (ArtifactError, KanjoError) as error:
        fail(error)


def _check_free(host: str, port: int) -> None:
    """Fails if the port is in use.

    The check comes before the seconds that a start takes, and keeps `demo` from calling another
    process that listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            fail(f"can't listen at KANJO_HOST:KANJO_PORT {host}:{port}: {error.strerror}")
