"""What goes wrong at a site, or is done to it, and when: seconds from the simulation's start."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachinesDie:
    """The first `count` machines vanish at once: one of them, or those of a rack.

    Args:
        for_s: after which they are back, empty.
    """

    at_s: float
    count: int
    for_s: float


@dataclass(frozen=True, slots=True)
class ScorersDie:
    """`count` of a pool's scorers vanish at once, for `for_s`."""

    at_s: float
    count: int
    for_s: float


@dataclass(frozen=True, slots=True)
class RedisDies:
    """Redis vanishes; for `for_s` there is none, until a replica has taken over."""

    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class RollingUpdate:
    """Each machine is drained and restarted, `at_once` of them at a time."""

    at_s: float
    at_once: int = 1


Fault = MachinesDie | ScorersDie | RedisDies | RollingUpdate
