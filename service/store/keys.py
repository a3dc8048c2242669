"""The keys of everything that the service keeps in Redis; write.lua builds the same ones."""

ALERTS = "kanjo:alerts"  # stream: every transition of every alert
AUDIT = "kanjo:audit"  # stream: who did what, never deleted with a call
EVENTS = "kanjo:events"  # stream: what subscribers are sent
MUTES = "kanjo:mutes"  # hash: the mutes that people set, as JSON by their ids
REFUSED = "kanjo:refused"  # hash: call id and who refused, as JSON, by a session still to be erased
DATA = "kanjo:data"  # string: a random id, another one after Redis has lost its data

# The scores of the sorted sets are times of Redis's clock, which is one for all services.
ALERTS_BY_TIME = "kanjo:alerts:by-time"  # sorted set: ids of alerts, by when they fired
CALLS_BY_TIME = "kanjo:calls:by-time"  # sorted set: ids of calls, by when they started
CALLS_LIVE = "kanjo:calls:live"  # sorted set: sessions, by their last heartbeat
CALLS_LIVE_BY_TIME = "kanjo:calls:live:by-time"  # sorted set: ids of live calls, as CALLS_BY_TIME


def alert_key(alert_id: str) -> str:
    """Returns the key of the hash that holds an alert's present state."""
    return f"kanjo:alert:{alert_id}"


def actions_key(alert_id: str) -> str:
    """Returns the key of the hash that holds what people did with an alert, by the action's id."""
    return f"kanjo:alert:{alert_id}:actions"


def call_key(call_id: str) -> str:
    """Returns the key of the hash that holds the latest session of a call id."""
    return f"kanjo:call:{call_id}"


def readings_key(call_id: str) -> str:
    """Returns the key of the stream of that session's readings."""
    return f"kanjo:readings:{call_id}"


def session_key(session: str) -> str:
    """Returns the key of the string that holds a session's call id."""
    return f"kanjo:session:{session}"


def session_alerts_key(session: str) -> str:
    """Returns the key of the set of a session's alert ids."""
    return f"kanjo:session:{session}:alerts"


def erased_key(session: str) -> str:
    """Returns the key of the string that marks an erased session."""
    return f"kanjo:erased:{session}"
