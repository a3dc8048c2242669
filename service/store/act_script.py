"""Runs act.lua, which applies what people do."""

import json
from collections.abc import Mapping
from typing import Any

from service.store.audit import AUDIT_LIMIT
from service.store.redis_client import RedisClient, raise_if_cancelled
from service.store.write_script import EVENTS_LIMIT, HERE, SHARED

SOURCE = SHARED + (HERE / "act.lua").read_text()


class ActScript:
    """act.lua with the limits that it keeps.

    Args:
        events_limit: longest kanjo:events.
        audit_limit: longest kanjo:audit.
    """

    def __init__(
        self,
        redis: RedisClient,
        *,
        events_limit: int = EVENTS_LIMIT,
        audit_limit: int = AUDIT_LIMIT,
    ) -> None:
        self._script: Any = redis.register_script(SOURCE)
        self._limits = (events_limit, audit_limit)

    async def run(self, command: str, audit: Mapping[str, str], *args: str | float) -> str:
        """Runs one command with its entry of the audit; returns what act.lua returns.

        Raises:
            RedisError, OSError: Redis did not reply; the command may have been applied.
        """
        outcome: str = await self._script(args=[command, *self._limits, json.dumps(audit), *args])
        raise_if_cancelled()
        return outcome
