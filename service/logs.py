"""Configures logging: each event is one entry, as text for people or as JSON for machines."""

import logging
import logging.config
import sys
from typing import Any, Literal

import structlog


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
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "entry"}},
            "root": {"handlers": ["stderr"], "level": level.upper()},
            # Access logs of frequent health checks would hide the other entries.
            "loggers": {"uvicorn.access": {"level": "WARNING"}},
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
