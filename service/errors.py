"""What can go wrong, as types that carry what came and what was expected.

    KanjoError
    ├── CallRefused            the service does not take this call
    │   ├── CallExists         a live call has this id already
    │   ├── NotStarted         a connection that never became a call
    │   └── TryLater           another time, or elsewhere, it may be taken
    │       ├── Overloaded     as many calls are live as this service takes
    │       └── Stopping       the service is about to end
    ├── CantListen             an address at which no connections can be taken
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


class NotStarted(CallRefused):
    """A connection that never became a call."""

    def __init__(self, within_s: float) -> None:
        super().__init__(within_s)
        self.within_s = within_s

    def __str__(self) -> str:
        return f"got no start, expected one within {self.within_s:g} s"


class TryLater(CallRefused):
    """Another time, or elsewhere, it may be taken."""


class Overloaded(TryLater):
    """As many calls are live as this service takes."""

    def __init__(self, max_calls: int) -> None:
        super().__init__(max_calls)
        self.max_calls = max_calls

    def __str__(self) -> str:
        return f"all {self.max_calls} calls that this service takes are in use; try again later"


class Stopping(TryLater):
    """The service is about to end."""

    def __str__(self) -> str:
        return "the service is stopping; try again later"


class CantListen(KanjoError):
    """An address at which no connections can be taken."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        super().__init__(host, port, problem)
        self.host = host
        self.port = port
        self.problem = problem

    def __str__(self) -> str:
        return f"can't listen at {self.host}:{self.port}: {self.problem}"


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
