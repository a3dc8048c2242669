import json
import subprocess
import sys

from service.logs import EntryLimit

PROGRAM = """
import logging
import sys

import structlog

from service.logs import configure

log = structlog.get_logger()
import service.api.http_protocol  # in whatever order
configure(sys.argv[1], sys.argv[2])
log.debug("gate_opened", hop=3)
log.info("call_started", call_id="call-1")
logging.getLogger("uvicorn.error").info("Started server process [%d]", 17)
logging.getLogger("uvicorn.access").info("GET /healthz")
logging.getLogger("uvicorn.error.http").warning("Invalid HTTP request received.")
address = "/calls/native?token=to" + "psecret"
logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" 403', "::1", address)
logging.getLogger("uvicorn.error").debug("> BINARY %s", "ff fe" + " fd")


def fail(caller):
    raise ValueError("no such thing")


try:
    fail("+49" + "3012345678")
except ValueError as error:
    log.exception("call_failed", exc_info=error)
try:
    fail("+49" + "3012345678")
except ValueError:
    logging.getLogger("asyncio").exception("Task went wrong")
"""


def lines(level: str, form: str) -> list[str]:
    """Runs a program that logs by every path, and returns the lines on its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level, form], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_is_one_object_a_line_from_every_logger() -> None:
    logged = [json.loads(line) for line in lines("info", "json")]
    assert [(line["level"], line["event"]) for line in logged] == [
        ("info", "call_started"),
        ("info", "Started server process [17]"),
        ("error", "call_failed"),
        ("error", "Task went wrong"),
    ]
    assert logged[0]["call_id"] == "call-1"
    assert all(line["timestamp"].endswith("Z") for line in logged)
    assert all("ValueError: no such thing" in line["exception"] for line in logged[2:])


def test_text_has_tracebacks_without_local_variables() -> None:
    logged = "\n".join(lines("info", "text"))
    assert "call_id=call-1" in logged
    assert logged.count("ValueError: no such thing") == 2
    assert "Traceback" in logged
    assert "+493012345678" not in logged


def test_the_level_applies_to_every_logger() -> None:
    assert any("gate_opened" in line for line in lines("debug", "text"))
    logged = [json.loads(line)["event"] for line in lines("error", "json")]
    assert logged == ["call_failed", "Task went wrong"]


def test_neither_addresses_nor_frames_of_websockets_are_logged() -> None:
    logged = "\n".join(lines("debug", "text"))
    assert "gate_opened" in logged
    assert "topsecret" not in logged
    assert "ff fe fd" not in logged


def test_entries_of_a_kind_are_limited_and_the_dropped_ones_counted() -> None:
    now_s = 0.0
    limit = EntryLimit(most=2, period_s=60, most_kinds=2, clock=lambda: now_s)
    assert [limit.admit("a") for _ in range(5)] == [0, 0, None, None, None]
    assert limit.admit("b") == 0
    now_s = 60.0
    assert [limit.admit("a") for _ in range(3)] == [3, 0, None]
    assert limit.admit("c") == 0  # the third kind: the oldest is forgotten
    assert limit.admit("b") == 0
