"""The errors that cross module borders; each carries what came and what was expected.

    KanjoError
    ├── CallRefused            the service does not admit a call
    │   ├── CallExists         a live call has this id already
    │   ├── NotStarted         a connection did not start a call in time
    │   └── TryLater           the call may be admitted later, or by another server
    │       ├── Overloaded     the service has as many live calls as it admits
    │       └── Stopping       the service is stopping
    ├── CantListen             a network address cannot be bound
    ├── UnreadableRecording    a file is not a recording of one or two voices
    └── ServiceFailed          a request to a service failed (raised by its clients)
        ├── ServiceUnreachable no connection to the service
        └── ServiceRefused     the service responded with an HTTP error

Mistakes of telephony clients are not exceptions: the bridge replies to them by its protocol.
"""

import json
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class KanjoError(Exception):
    """Base of all errors that callers are meant to handle; `str` gives a sentence for people."""


class CallRefused(KanjoError):
    """The service does not admit this call."""


class CallExists(CallRefused):
    """A live call has this id already."""

    def __init__(self, call_id: str) -> None:
        super().__init__(call_id)
        self.call_id = call_id

    def __str__(self) -> str:
        return f"got call_id {self.call_id!r}, expected one that no live call has"


class NotStarted(CallRefused):
    """The connection did not start a call in time."""

    def __init__(self, within_s: float) -> None:
        super().__init__(within_s)
        self.within_s = within_s

    def __str__(self) -> str:
        return f"got no start, expected one within {self.within_s:g} s"


class TryLater(CallRefused):
    """The call may be admitted later, or by another server."""


class Overloaded(TryLater):
    """The service has as many live calls as it admits."""

    def __init__(self, max_calls: int) -> None:
        super().__init__(max_calls)
        self.max_calls = max_calls

    def __str__(self) -> str:
        return f"all {self.max_calls} calls that this service takes are in use; try again later"


class Stopping(TryLater):
    """The service is stopping."""

    def __str__(self) -> str:
        return "the service is stopping; try again later"


class CantListen(KanjoError):
    """A network address cannot be bound."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        super().__init__(host, port, problem)
        self.host = host
        self.port = port
        self.problem = problem

    def __str__(self) -> str:
        return f"can't listen at {self.host}:{self.port}: {self.problem}"


class UnreadableRecording(KanjoError):
    """A file is not a recording of one or two voices."""

    def __init__(self, path: "Path", problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class ServiceFailed(KanjoError):
    """A request to a service failed; raised by its clients."""


class ServiceUnreachable(ServiceFailed):
    """There is no connection to a service at this address."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(url, problem)
        self.url = url
        self.problem = problem

    def __str__(self) -> str:
        return f"no service at {self.url}: {self.problem}"


class ServiceRefused(ServiceFailed):
    """The service responded with an HTTP error."""

    def __init__(self, url: str, status: int, problem: str) -> None:
        super().__init__(url, status, problem)
        self.url = url
        self.status = status
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.url} answered HTTP {self.status}: {self.problem}"

    @classmethod
    def from_body(cls, url: str, status: int, body: bytes) -> Self:
        """Builds the error from a response: problem+json, or else the body's text."""
        text = body.decode(errors="replace").strip()
        try:
            problem = json.loads(text)
        except ValueError:
            problem = None
        if isinstance(problem, dict):
            parts = (problem.get("title"), problem.get("detail"))
            text = ": ".join(str(part) for part in parts if part) or text
        return cls(url, status, text[:500] or "no reason given")
