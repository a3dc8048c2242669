"""What is wrong with the store now, for supervisors and people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong although calls are taken; never holds data of a call."""

    what: str  # a phrase for people, which begins with the part: Redis, disk, outbox
    since: float  # wall clock, epoch seconds
