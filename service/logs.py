"""Configures logging: each event is one entry, as text for people or as JSON for machines."""

import logging
import logging.config
import sys
import time
from collections.abc import Callable, Hashable
from typing import Any, Literal

import structlog


class WithoutAddresses(logging.Filter):
    """Drops entries of uvicorn and websockets about single websockets.

    Their addresses can hold tokens and numbers, and every client could write as many as it likes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns False for an entry about the handshake, opening or end of a websocket."""
        text = str(record.msg)
        return "WebSocket %s" not in text and not text.startswith("connection ")


class EntryLimit:
    """Lets few entries of a kind through in a period, so that strangers can't fill the log.

    Args:
        most: entries of one kind in one period.
        period_s: how long a period lasts, from its first entry.
        most_kinds: kinds that are counted; when there are more, the oldest are forgotten.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        most: int = 10,
        period_s: float = 60.0,
        most_kinds: int = 1_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._period_s = period_s
        self._most_kinds = most_kinds
        self._clock = clock
        self._periods: dict[Hashable, tuple[float, int]] = {}  # its begin, and its entries so far

    def admit(self, kind: Hashable) -> int | None:
        """Returns None if the next entry of this kind is one too many.

        Otherwise it returns how many of the previous period were dropped, to be logged with it.
        """
        now_s = self._clock()
        began_s, count = self._periods.pop(kind, (now_s, 0))
        dropped = 0
        if now_s - began_s >= self._period_s:
            dropped = max(0, count - self._most)
            began_s, count = now_s, 0
        self._periods[kind] = began_s, count + 1
        if len(self._periods) > self._most_kinds:
            self._periods.pop(next(iter(self._periods)))
        return dropped if count < self._most else None


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Sends what structlog and the standard library (uvicorn, too) log to stderr.

    Args:
        level: the lowest level that is logged, such as `info`.
        form: how an entry is written.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Plain tracebacks: structlog's own show local variables, which can hold data of a call.
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "entry": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *([structlog.processors.format_exc_info] if form == "json" else []),
                        renderer,
                    ],
                }
            },
            "filters": {"without_addresses": {"()": WithoutAddresses}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "entry"}},
            "root": {"handlers": ["stderr"], "level": level.upper()},
            # Access logs of frequent health checks would hide the other entries.
            "loggers": {
                "uvicorn.access": {"level": "WARNING"},
                # Addresses of webhooks are secrets, and at debug headers are logged too.
                "httpx": {"level": "WARNING"},
                "httpcore": {"level": "WARNING"},
                # At debug it would log every frame, audio and credentials included.
                "uvicorn.error": {
                    "level": "INFO" if level == "debug" else level.upper(),
                    "filters": ["without_addresses"],
                },
            },
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
