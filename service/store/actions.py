"""What people do with alerts, in Redis: each action once, whole or not at all.

The pure `service/alerts/lifecycle.py` decides; act.lua stores the decision if the alert is still as
it was read, else it is decided again. Nothing of this goes through the outbox: an action that
waited for Redis might come after somebody else's, and nobody would know who has the
alert.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from service.alerts.lifecycle import (
    HANDLING,
    UNDO_WITHIN_S,
    Action,
    ActionKind,
    Handling,
    LastAction,
    Refusal,
    decide,
)
from service.events import AlertState
from service.store.act_script import ActScript
from service.store.audit import audit_fields
from service.store.errors import StoreUnavailable
from service.store.keys import actions_key, alert_key
from service.store.redis_client import RedisClient, replies_required
from service.store.views import AlertView

ACT_WITHIN_S = 2.0  # for Redis to take an action
ACTIONS_LIMIT = 100  # of one alert
ATTEMPTS = 20  # to decide, each after somebody else's action has come in between

# The words of the audit.
DONE = {
    ActionKind.TAKE: "took",
    ActionKind.TAKE_OVER: "took_over",
    ActionKind.HAND_OVER: "handed_over",
    ActionKind.NOTE: "noted",
    ActionKind.DISMISS: "dismissed",
    ActionKind.UNDO: "undid",
}

# The fields of a step of an alert that kanjo:alerts repeats beside an action.
STEP = (
    *("alert_id", "number", "call_id", "track", "emotion", "state", "since_s", "at_s"),
    *("probability", "peak", "at"),
)


@dataclass(frozen=True, slots=True)
class ActionRefused:
    """An action that was refused, and the alert as it is."""

    refusal: Refusal
    alert: AlertView


@dataclass(frozen=True, slots=True)
class IdInUse:
    """An action whose id another action on the alert has, or one for which there is no room."""

    got: str
    expected: str
    alert: AlertView


class Actions:
    """Applies actions of people to alerts.

    Args:
        undo_within_s: how long an action can be undone.
        actions_limit: most actions on one alert.
        within_s: how long Redis may take.
    """

    def __init__(
        self,
        redis: RedisClient,
        script: ActScript,
        *,
        undo_within_s: float = UNDO_WITHIN_S,
        actions_limit: int = ACTIONS_LIMIT,
        within_s: float = ACT_WITHIN_S,
    ) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._script = script
        self._undo_within_s = undo_within_s
        self._actions_limit = actions_limit
        self._within_s = within_s

    async def act(
        self, alert_id: str, action: Action
    ) -> AlertView | ActionRefused | IdInUse | None:
        """Applies an action; returns the alert after it, why it was refused, or None if unknown.

        An action that was applied before, by its id, changes nothing: the alert is returned as it
        is now.

        Raises:
            StoreUnavailable: Redis is away; if it went away meanwhile the action may have been
                applied, and a repetition with the same id is safe.
        """
        try:
            async with asyncio.timeout(self._within_s):
                with replies_required():
                    return await self._act(alert_id, action)
        except TimeoutError:
            raise StoreUnavailable(f"no reply within {self._within_s:g} s") from None

    async def _act(
        self, alert_id: str, action: Action
    ) -> AlertView | ActionRefused | IdInUse | None:
        for _ in range(ATTEMPTS):
            now, found, earlier = await self._read(alert_id, action.id)
            if not found:
                return None
            alert = AlertView.from_hash(found)
            if earlier is not None:
                if earlier == _kept(action):
                    return alert
                expected = "an id that no other action on this alert has"
                return IdInUse(f"id {action.id!r} again", expected, alert)
            handling, last = Handling.from_fields(found), _last(found)
            decision = decide(
                AlertState(found["state"]), handling, last, action, now, self._undo_within_s
            )
            if isinstance(decision, Refusal):
                return ActionRefused(decision, alert)
            after = decision.handling.to_fields()
            if decision.last:
                after["last_action"] = json.dumps(
                    {**asdict(decision.last), "before": decision.last.before.to_fields()}
                )
            outcome = await self._script.run(
                "act",
                audit_fields(
                    action.by,
                    DONE[action.kind],
                    session=found.get("session"),
                    alert_id=alert_id,
                    detail=action.why,
                ),
                alert_id,
                alert.version,
                action.id,
                json.dumps(_kept(action)),
                self._actions_limit,
                json.dumps([*HANDLING, "last_action"]),
                json.dumps(after),
                json.dumps(_step(found, action, now)),
            )
            if outcome == "gone":
                return None
            if outcome == "full":
                got = f"an alert with {self._actions_limit} actions"
                return IdInUse(got, "one with fewer", alert)
            if outcome == "done":
                return AlertView.from_hash(await self._redis.hgetall(alert_key(alert_id)) or found)
        raise StoreUnavailable(f"the alert changed {ATTEMPTS} times meanwhile")

    async def _read(
        self, alert_id: str, action_id: str
    ) -> tuple[float, dict[str, str], dict[str, str] | None]:
        """Returns Redis's time, the alert, and the action of that id if there is one already."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.hgetall(alert_key(alert_id))
            pipeline.hget(actions_key(alert_id), action_id)
            (seconds, micros), found, earlier = await pipeline.execute()
        return seconds + micros / 1e6, found, earlier and json.loads(earlier)


def _kept(action: Action) -> dict[str, str]:
    """Returns what is kept of an action, apart from its id."""
    return {name: str(value) for name, value in asdict(action).items() if value and name != "id"}


def _last(found: Mapping[str, str]) -> LastAction | None:
    if "last_action" not in found:
        return None
    fields = json.loads(found["last_action"])
    return LastAction(**{**fields, "before": Handling.from_fields(fields["before"])})


def _step(found: Mapping[str, str], action: Action, now: float) -> dict[str, str]:
    """Returns the entry of kanjo:alerts: the voice's last step again, and what was done."""
    step = {name: found[name] for name in STEP if name in found}
    did = {"action": action.kind, "action_id": action.id, "by": action.by, "acted_at": f"{now:.3f}"}
    more = {"to": action.to, "why": action.why or "", "undoes": action.undoes}
    return {**step, **did, **{name: value for name, value in more.items() if value}}
