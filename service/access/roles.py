"""What a person or program may do."""

from enum import StrEnum


class Role(StrEnum):
    """A role, and what it includes.

    An admin may do all that an operator may, an operator all that a viewer may, and a viewer may
    read metrics. A bridge stands apart: it may send calls, and nothing else, and no other role may
    send calls.
    """

    METRICS = "metrics"  # reads /metrics
    VIEWER = "viewer"  # reads calls, alerts, events and metrics
    OPERATOR = "operator"  # acts on alerts, mutes, and has recordings classified too
    ADMIN = "admin"
    BRIDGE = "bridge"  # sends calls

    def includes(self, needed: "Role") -> bool:
        """Returns whether who has this role may do what `needed` may."""
        if self is Role.BRIDGE or needed is Role.BRIDGE:
            return self is needed
        return _ASCENDING.index(self) >= _ASCENDING.index(needed)


_ASCENDING = (Role.METRICS, Role.VIEWER, Role.OPERATOR, Role.ADMIN)
LOGIN_ROLES = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)  # of people with a browser
