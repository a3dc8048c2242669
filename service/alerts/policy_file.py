"""The policy file: thresholds and durations by queue and emotion, and mutes; what is in it.

Pure: the text is an argument (`service/alerts/policy_watch.py` reads the file). What the file does
not name stays as the settings and the model have it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from model.labels import Emotion
from service.alerts.policy import AlertRule
from service.errors import KanjoError

MOST_MUTES = 100
LONGEST = 1_000_000  # characters

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class PolicyError(KanjoError):
    """A policy file that can't be used."""

    def __init__(self, file: str, problems: Sequence[str]) -> None:
        super().__init__(file, problems)
        self.file = file
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "; ".join(f"{self.file}: {problem}" for problem in self.problems)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RuleChanges(_Part):
    """What is different about one emotion's alerts; None: as elsewhere."""

    fire_at: Share | None = None
    clear_at: Share | None = None
    hold_s: Seconds | None = None
    release_s: Seconds | None = None

    @model_validator(mode="after")
    def _thresholds_go_together(self) -> Self:
        if (self.fire_at is None) != (self.clear_at is None):
            raise ValueError("got one of fire_at and clear_at, expected both or neither")
        if self.fire_at is not None and self.clear_at is not None and self.clear_at > self.fire_at:
            raise ValueError(
                f"got clear_at {self.clear_at} and fire_at {self.fire_at}, "
                "expected clear_at to be at most fire_at"
            )
        return self

    def apply(self, rule: AlertRule) -> AlertRule:
        """Returns a rule with these changes."""
        return replace(rule, **self.model_dump(exclude_none=True))


class QueuePolicy(_Part):
    """The changes of each emotion's alerts."""

    anger: RuleChanges = RuleChanges()
    happiness: RuleChanges = RuleChanges()

    def apply(self, rule: AlertRule) -> AlertRule:
        """Returns a rule with the changes for its emotion."""
        changes: RuleChanges = getattr(self, rule.emotion)
        return changes.apply(rule)


class PolicyMute(_Part):
    """Alerts that are recorded, but no alarms until a time: those that match all that is named."""

    queue: Name | None = None
    emotion: Emotion | None = None
    until: AwareDatetime

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.queue is None and self.emotion is None:
            raise ValueError("got neither queue nor emotion, expected at least one of them")
        return self

    def is_of(self, queue: str | None, emotion: Emotion) -> bool:
        """Returns whether an alert of that queue and emotion is muted."""
        return self.queue in (None, queue) and self.emotion in (None, emotion)


class Policy(QueuePolicy):
    """A whole policy: its own changes are for all queues, those of a queue come on top of them."""

    queues: Mapping[Name, QueuePolicy] = {}
    mutes: Annotated[tuple[PolicyMute, ...], Field(max_length=MOST_MUTES)] = ()

    def rules(self, base: Sequence[AlertRule], queue: str | None) -> tuple[AlertRule, ...]:
        """Returns the rules for calls of a queue, made from those of settings and model."""
        of_queue = self.queues.get(queue or "", QueuePolicy())
        return tuple(of_queue.apply(self.apply(rule)) for rule in base)

    def muted_until(self, queue: str | None, emotion: Emotion, now: float) -> float | None:
        """Returns until when (epoch seconds) an alert is muted; None: it is not muted now."""
        ends = (mute.until.timestamp() for mute in self.mutes if mute.is_of(queue, emotion))
        return max((end for end in ends if end > now), default=None)


def parse_policy(text: str, file: str) -> Policy:
    """Returns the policy that a TOML text holds; `file` is how errors call it.

    Raises:
        PolicyError: the text is no TOML, or a key or a value is impossible; it names file and key.
    """
    if len(text) > LONGEST:
        raise PolicyError(file, [f"got more than {LONGEST} characters, expected at most that"])
    try:
        found = tomllib.loads(text)
        if not found:  # perhaps it is being written
            raise PolicyError(file, ["got nothing, expected at least one key"])
        return Policy.model_validate(found)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyError(file, [f"got no TOML ({error}), expected a policy"]) from None
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_context=False)
        raise PolicyError(file, [_sentence(error) for error in errors]) from None


def version_of(text: str) -> str:
    """Returns a short name of a policy file's content: equal contents have equal names."""
    return sha256(text.encode()).hexdigest()[:12]


def _sentence(error: Mapping[str, Any]) -> str:
    """Returns a problem that pydantic found, with the key as the file has it."""
    key = ".".join(map(str, error["loc"])) or "the file"
    match error["type"]:
        case "extra_forbidden":
            return f"{key}: got an unknown key, expected one of those in docs/alerts.md"
        case "missing":
            return f"{key}: got nothing, expected a value"
        case "value_error":
            return f"{key}: {error['msg'].removeprefix('Value error, ')}"
    got = repr(error["input"])[:60]
    return f"{key}: got {got}, expected {error['msg'].removeprefix('Input should be ')}"
