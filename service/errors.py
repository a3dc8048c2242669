"""What can go wrong, as types that carry what came and what was expected.

    KanjoError
    ├── CallRefused            the service does not take this call
    │   ├── CallExists         a live call has this id already
    │   └── Overloaded         as many calls are live as this service takes
    ├── UnreadableRecording    a file that is no recording of one or two voices
    └── ServiceFailed          the service, seen from outside
        ├── ServiceUnreachable nobody answered
        └── ServiceRefused     it answered no

What a client of a bridge does wrong is no exception: the bridge answers it in its own dialect.
"""

import json
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class KanjoError(Exception):
    """Whatever this project raises for others to act on; its text is a sentence."""


class CallRefused(KanjoError):
    """The service does not take this call."""


class CallExists(CallRefused):
    """A live call has this id already."""

    def __init__(self, call_id: str) -> None:
        super().__init__(call_id)
        self.call_id = call_id

    def __str__(self) -> str:
        return f"got call_id {self.call_id!r}, expected one that no live call has"


class Overloaded(CallRefused):
    """As many calls are live as this service takes."""

    def __init__(self, max_calls: int) -> None:
        super().__init__(max_calls)
        self.max_calls = max_calls

    def __str__(self) -> str:
        return f"all {self.max_calls} calls that this service takes are in use; try again later"


class UnreadableRecording(KanjoError):
    """A file that is no recording of one or two voices."""

    def __init__(self, path: "Path", problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class ServiceFailed(KanjoError):
    """The service, seen from outside, did not do what it was asked."""


class ServiceUnreachable(ServiceFailed):
    """Nobody answered at this address."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(url, problem)
        self.url = url
        self.problem = problem

    def __str__(self) -> str:
        return f"no service at {self.url}: {self.problem}"


class ServiceRefused(ServiceFailed):
    """The service answered no."""

    def __init__(self, url: str, status: int, problem: str) -> None:
        super().__init__(url, status, problem)
        self.url = url
        self.status = status
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.url} answered HTTP {self.status}: {self.problem}"

    @classmethod
    def from_body(cls, url: str, status: int, body: bytes) -> Self:
        """From an answer's body: problem+json, or whatever text came."""
        text = body.decode(errors="replace").strip()
        try:
            problem = json.loads(text)
        except ValueError:
            problem = None
        if isinstance(problem, dict):
            parts = (problem.get("title"), problem.get("detail"))
            text = ": ".join(str(part) for part in parts if part) or text
        return cls(url, status, text[:500] or "no reason given")
