from pathlib import Path

import pytest

from service.errors import (
    CallExists,
    CallRefused,
    CantListen,
    KanjoError,
    NotStarted,
    Overloaded,
    ServiceFailed,
    ServiceRefused,
    ServiceUnreachable,
    Stopping,
    TryLater,
    UnreadableRecording,
)

URL = "http://127.0.0.1:8000/classify"


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            CallExists("call-1"),
            CallRefused,
            "got call_id 'call-1', expected one that no live call has",
        ),
        (
            Overloaded(200),
            CallRefused,
            "all 200 calls that this service takes are in use; try again later",
        ),
        (NotStarted(30), CallRefused, "got no start, expected one within 30 s"),
        (Stopping(), TryLater, "the service is stopping; try again later"),
        (
            Overloaded(1),
            TryLater,
            "all 1 calls that this service takes are in use; try again later",
        ),
        (
            CantListen("127.0.0.1", 9019, "Address already in use"),
            KanjoError,
            "can't listen at 127.0.0.1:9019: Address already in use",
        ),
        (UnreadableRecording(Path("a.wav"), "no audio"), KanjoError, "a.wav: no audio"),
        (
            ServiceUnreachable(URL, "Connection refused"),
            ServiceFailed,
            f"no service at {URL}: Connection refused",
        ),
        (
            ServiceRefused(URL, 413, "too large"),
            ServiceFailed,
            f"{URL} answered HTTP 413: too large",
        ),
    ],
)
def test_an_error_is_a_sentence_and_of_its_kind(
    error: KanjoError, kind: type[KanjoError], text: str
) -> None:
    assert isinstance(error, kind)
    assert isinstance(error, KanjoError)
    assert str(error) == text


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"title": "Bad Request", "detail": "got 0 bytes"}', "Bad Request: got 0 bytes"),
        (b'{"detail": "got 0 bytes"}', "got 0 bytes"),
        (b'{"status": 400}', '{"status": 400}'),
        (b'["no"]', '["no"]'),
        (b"<h1>Bad Gateway</h1>\n", "<h1>Bad Gateway</h1>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", "no reason given"),
        (b"x" * 10_000, "x" * 500),
    ],
)
def test_a_refusal_has_the_text_of_the_response(body: bytes, problem: str) -> None:
    refused = ServiceRefused.from_body(URL, 400, body)
    assert refused.problem == problem
    assert (refused.url, refused.status) == (URL, 400)
