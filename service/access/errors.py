"""The errors of access, each with a sentence that names what came and what was expected."""

from pathlib import Path

from service.errors import KanjoError


class AccessUnusable(KanjoError):
    """The file of tokens and sessions can't be opened, read or written."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class TokenExists(KanjoError):
    """A token that is not revoked has this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"got the name {self.name!r}, expected one that no token has; see kanjo token list"


class NoSuchToken(KanjoError):
    """No token that could be revoked has this name."""

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(name, names)
        self.name = name
        self.names = names

    def __str__(self) -> str:
        known = ", ".join(self.names) or "none, because there are no tokens"
        return f"got the name {self.name!r}, expected one of: {known}"


class BadLogin(KanjoError):
    """A code is no one-time code, or was used or has expired; which of them is not given away."""

    def __str__(self) -> str:
        return "got a login link that was used, has expired or never was, expected a new one"
