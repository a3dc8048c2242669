"""Who sends a request, and the sources that can tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from service.access.roles import Role

SESSION = "session"  # an identity that comes from a cookie
PROXY = "proxy"  # one that a proxy names, usually by a cookie of its own
AMBIENT = frozenset({SESSION, PROXY})  # a browser proves these by itself, whoever's page asks


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends a request, and what they may do.

    Args:
        name: of the token or the person.
        role: what they may do; None: nothing.
        via: how they proved it: `open`, `token`, `session`, `proxy`, or another source's own word.
    """

    name: str
    role: Role | None
    via: str

    def may(self, needed: Role) -> bool:
        """Returns whether the role includes `needed`."""
        return self.role is not None and self.role.includes(needed)


ANONYMOUS = Identity("anonymous", None, "nothing")
LOCAL = Identity("local", Role.ADMIN, "open")  # everybody, while access is open


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brings from which its sender may be known."""

    headers: Mapping[str, str]  # names in lower case
    cookies: Mapping[str, str] = field(default_factory=dict)
    # The address from which the connection really comes, perhaps a proxy's; None: not known.
    peer: str | None = None


class Source(Protocol):
    """One way to know who sends a request, such as an API token or a session's cookie."""

    def identify(self, presented: Presented, now: float) -> Identity | None:
        """Returns who sends the request, or None if this source can't tell.

        It does no I/O, because it is asked on the event loop for every request.
        """
