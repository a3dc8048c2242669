"""The errors of the store, as types that carry what was found and what was expected.

KanjoError
├── StoreUnavailable   Redis does not reply
├── TooManyMutes       no more alerts can be muted
├── TooManyAlerts      more alerts than one summary counts
├── BadCursor          a text from which no list goes on
├── UnusableRedisUrl   an address that can't be one of Redis
├── OutboxInUse        another process has the outbox file open
├── OutboxUnusable     a file that cannot be opened as an outbox
└── DiskFailed         the outbox's disk fails now
"""

from pathlib import Path

from service.errors import KanjoError


class StoreUnavailable(KanjoError):
    """Redis does not reply; writes are kept in the outbox meanwhile."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"got no answer from Redis ({self.problem}); try again later"


class TooManyMutes(KanjoError):
    """There are as many mutes as are allowed at the same time."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"got one more mute than {self.limit}, expected that one ends first"


class TooManyAlerts(KanjoError):
    """More alerts than one summary counts."""

    def __init__(self, longest: int) -> None:
        super().__init__(longest)
        self.longest = longest

    def __str__(self) -> str:
        return f"got a span with more than {self.longest} alerts, expected a shorter one"


class BadCursor(KanjoError):
    """A text from which no list goes on."""

    def __init__(self, cursor: str, expected: str) -> None:
        super().__init__(cursor, expected)
        self.cursor = cursor
        self.expected = expected

    def __str__(self) -> str:
        return f"got {self.cursor!r}, expected {self.expected}"


class UnusableRedisUrl(KanjoError):
    """An address that can't be one of Redis; nothing of it is repeated, as it may be secret."""

    FORM = (
        "redis://[:PASSWORD@]HOST[:PORT][/NUMBER] (or rediss://, unix://), or "
        "redis+sentinel://[:PASSWORD@]HOST[:PORT][,HOST...]/SERVICE[/NUMBER] (or "
        "rediss+sentinel://), where #, /, ?, @ and : in a password are written as %23, %2F, %3F, "
        "%40, %3A"
    )

    def __init__(self, problem: str, expected: str = FORM) -> None:
        super().__init__(problem, expected)
        self.problem = problem
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.problem}, expected {self.expected}"


class OutboxInUse(KanjoError):
    """Another process has the outbox file open."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"outbox {self.path} is in use, expected a file of this process's own"


class OutboxUnusable(KanjoError):
    """A file that cannot be opened as an outbox."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"outbox {self.path}: {self.problem}, expected a writable SQLite file or none yet"


class DiskFailed(KanjoError):
    """The outbox's disk fails now; it may work again later."""

    def __init__(self, problem: str, *, broken: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.broken = broken  # the open file may be of no use any more

    def __str__(self) -> str:
        return f"got no answer from the disk ({self.problem}); try again later"
