import json
from typing import Any

import pytest

from service.events import Track
from service.telephony.native.bridge import MAX_TEXT_CHARS, NativeBridge
from tests.service.telephony.native.protocol import (
    CALLER,
    STOP,
    errors,
    live,
    samples,
    start,
    valid,
)


@pytest.mark.parametrize(
    "text", ["{", "", "nonsense", "[]", "7", '"start"', "[" * 60_000, "\ud800"]
)
def test_bad_json_is_dropped(text: str) -> None:
    bridge = live()
    assert bridge.receive(text) == []
    assert errors(bridge) == ["bad_json"]
    assert bridge.close_code is None


@pytest.mark.parametrize("text", ["{}", '{"type": "begin"}', '{"type": 1}', '{"type": null}'])
def test_unknown_type_is_dropped(text: str) -> None:
    bridge = live()
    assert bridge.receive(text) == []
    assert errors(bridge) == ["unknown_type"]
    assert samples(bridge.receive(b"abc"), Track.CALLER).size == 3


def test_text_too_large_is_dropped() -> None:
    bridge = live()
    assert bridge.receive(" " * (MAX_TEXT_CHARS + 1)) == []
    assert errors(bridge) == ["text_too_large"]
    assert bridge.close_code is None


@pytest.mark.parametrize(
    ("change", "field", "got"),
    [
        ({"call_id": ""}, "call_id", "''"),
        ({"call_id": "x" * 129}, "call_id", None),
        ({"call_id": "a\nb"}, "call_id", "'a\\nb'"),
        ({"call_id": 7}, "call_id", "7"),
        ({"sample_rate": 7999}, "sample_rate", "7999"),
        ({"sample_rate": 48001}, "sample_rate", "48001"),
        ({"sample_rate": "8000"}, "sample_rate", "'8000'"),
        ({"tracks": []}, "tracks", "[]"),
        ({"tracks": ["caller", "caller"]}, "tracks", None),
        ({"tracks": ["caller", "agent", "caller"]}, "tracks", None),
        ({"tracks": ["customer"]}, "tracks.0", "'customer'"),
        ({"metadata": {"a": 1}}, "metadata.a", "1"),
        ({"metadata": {"a": "x" * 1025}}, "metadata.a", None),
        ({"metadata": {str(n): "" for n in range(33)}}, "metadata", None),
        ({"trakcs": ["caller"]}, "trakcs", "['caller']"),
    ],
)
def test_bad_start_names_what_came_and_closes(
    change: dict[str, Any], field: str, got: str | None
) -> None:
    bridge = NativeBridge(CALLER)
    bridge.receive(b"held")
    assert bridge.receive(start(**change)) == []
    (message,) = bridge.replies()
    content = valid("server", message)
    assert content["code"] == "bad_start"
    assert content["fatal"] is True
    (problem,) = content["problems"]
    assert problem["field"] == field
    assert got is None or problem["got"] == got
    assert problem["expected"] in content["message"]
    assert bridge.close_code == 1008
    assert bridge.receive(start()) == []


def test_bad_start_lists_every_problem() -> None:
    bridge = NativeBridge(CALLER)
    bridge.receive('{"type": "start", "sample_rate": 1}')
    problems = json.loads(bridge.replies()[0])["problems"]
    assert [problem["field"] for problem in problems] == [
        "call_id",
        "encoding",
        "sample_rate",
        "tracks",
    ]
    assert problems[0] == {"field": "call_id", "expected": "a value", "got": "nothing"}


def test_bad_start_of_an_unknown_encoding_closes_as_unsupported() -> None:
    bridge = NativeBridge(CALLER)
    bridge.receive(start(encoding="opus"))
    assert errors(bridge) == ["bad_start"]
    assert bridge.close_code == 1003


def test_a_stop_without_start_is_an_error_and_closes() -> None:
    bridge = NativeBridge(CALLER)
    assert bridge.receive(STOP) == []
    assert errors(bridge) == ["not_started"]
    assert bridge.close_code == 1008


@pytest.mark.parametrize("second", [start(call_id="c2"), start(sample_rate=1)])
def test_a_second_start_does_not_change_the_call(second: str) -> None:
    bridge = live()
    assert bridge.receive(second) == []
    assert errors(bridge) == ["already_started"]
    assert bridge.close_code is None
    assert samples(bridge.receive(b"abc"), Track.CALLER).size == 3


def test_errors_are_counted_by_code() -> None:
    bridge = live()
    for message in ("{", "{", '{"type": "song"}'):
        bridge.receive(message)
    assert bridge.message_errors == {"bad_json": 2, "unknown_type": 1}
