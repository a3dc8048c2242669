"""When readings become alerts: one episode, one alert, never one a window.

Pure: no clock, no I/O. Time is call time and an argument; the same readings give the same
transitions.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model.labels import Emotion
from service.events import AlertState, Reading, Track, Transition

# Sums of speech durations carry rounding: twenty times 0.1 s is 2 s of speech.
ROUNDING_S = 1e-9


@dataclass(frozen=True, slots=True)
class AlertRule:
    """How high and how long one emotion must sound, and when it is over again."""

    emotion: Emotion
    fire_at: float  # smoothed probability
    clear_at: float  # smoothed probability, at most `fire_at`
    hold_s: float  # of speech at or above `fire_at` before the alert fires
    release_s: float  # of call time below `clear_at` before it resolves
    smooth_s: float  # of speech: what was said this long ago counts 1/e of what is said now

    def __post_init__(self) -> None:
        if not 0 <= self.clear_at <= self.fire_at <= 1:
            raise ValueError(
                f"{self.emotion}: got fire_at {self.fire_at} and clear_at {self.clear_at}, "
                "expected 0 <= clear_at <= fire_at <= 1"
            )
        for name in ("hold_s", "release_s", "smooth_s"):
            seconds = getattr(self, name)
            if not 0 <= seconds < math.inf:
                raise ValueError(
                    f"{self.emotion}: got {name} {seconds}, expected 0 or more seconds"
                )


class AlertPolicy:
    """All alerts of one call: a state machine for every track and emotion.

    `session` names the connection; alert ids are made of it, so a call id used twice is no clash.
    """

    def __init__(self, session: str, call_id: str, rules: Sequence[AlertRule]) -> None:
        emotions = [rule.emotion for rule in rules]
        if len(set(emotions)) < len(emotions):
            raise ValueError(f"got rules for {', '.join(emotions)}, expected one rule an emotion")
        self.session = session
        self.call_id = call_id
        self.rules = tuple(rules)
        self._watches: dict[Track, list[_Watch]] = {}
        self._heard_to_s: dict[Track, float] = {}
        self._ended = False

    def hear(self, reading: Reading) -> list[Transition]:
        """The readings of a track come in the order of their ends."""
        self._check(reading)
        if self._ended:
            return []
        track = reading.track
        if track not in self._watches:
            self._watches[track] = [
                _Watch(rule, self.session, self.call_id, track) for rule in self.rules
            ]
        self._heard_to_s[track] = reading.end_s
        # A window says nothing about speech before its start, even where no earlier window said it.
        heard_s = min(reading.heard_s, reading.end_s - reading.start_s)
        return [
            step
            for watch in self._watches[track]
            for step in watch.hear(
                reading.probabilities[watch.rule.emotion], heard_s, reading.end_s
            )
        ]

    def tick(self, track: Track, at_s: float) -> list[Transition]:
        """Time has passed on `track` up to `at_s`, and all that was said by then has been read."""
        if self._ended:
            return []
        return [step for watch in self._watches.get(track, ()) for step in watch.tick(at_s)]

    def end(self, at_s: float) -> list[Transition]:
        """The call is over: every open alert ends, and none opens any more."""
        if self._ended:
            return []
        self._ended = True
        return [
            step
            for watches in self._watches.values()
            for watch in watches
            for step in watch.end(at_s)
        ]

    def _check(self, reading: Reading) -> None:
        if reading.call_id != self.call_id:
            raise ValueError(
                f"got a reading of call {reading.call_id!r}, expected one of {self.call_id!r}"
            )
        if missing := [r.emotion for r in self.rules if r.emotion not in reading.probabilities]:
            raise ValueError(
                f"got probabilities of {', '.join(reading.probabilities) or 'nothing'}, "
                f"expected {', '.join(missing)} among them"
            )
        if not (reading.start_s <= reading.end_s and reading.heard_s >= 0):
            raise ValueError(
                f"got a reading from {reading.start_s} s to {reading.end_s} s with "
                f"{reading.heard_s} s newly heard, expected start <= end and 0 s or more heard"
            )
        if reading.end_s < (heard_to_s := self._heard_to_s.get(reading.track, -math.inf)):
            raise ValueError(
                f"got a reading that ends at {reading.end_s} s, "
                f"expected none before {heard_to_s} s, where {reading.track} has been read to"
            )


class _Average:
    """The mean of what was said; each second counts exp(-age / smooth_s), age in seconds of speech.

    Windows overlap, so a window weighs as much as the speech that it adds, not as much as it holds.
    The weights are normalised: the first reading starts the average whole, and one that heard
    little of a voice soon gives way to those that hear more.
    """

    def __init__(self, smooth_s: float) -> None:
        self.smooth_s = smooth_s
        self._sum = 0.0
        self._weight = 0.0

    def hear(self, probability: float, heard_s: float) -> None:
        kept = math.exp(-heard_s / self.smooth_s) if self.smooth_s else 0.0
        self._sum = kept * self._sum + (1 - kept) * probability
        self._weight = kept * self._weight + (1 - kept)

    @property
    def value(self) -> float:
        return self._sum / self._weight if self._weight else 0.0


@dataclass(slots=True)
class _Episode:
    """An open alert."""

    alert_id: str
    since_s: float
    state: AlertState = AlertState.PENDING
    number: int = 0  # of the last transition
    at_s: float = 0.0  # of the last transition
    peak: float = 0.0
    held_s: float = 0.0  # of speech at or above `fire_at`, while pending
    below_since_s: float | None = None  # since when below `clear_at`, while firing


class _Watch:
    """One track, listened to for one emotion."""

    def __init__(self, rule: AlertRule, session: str, call_id: str, track: Track) -> None:
        self.rule = rule
        self.call_id = call_id
        self.track = track
        self._prefix = f"{session}-{track}-{rule.emotion}"
        self._average = _Average(rule.smooth_s)
        self._alerts = 0
        self._open: _Episode | None = None

    def hear(self, probability: float, heard_s: float, end_s: float) -> Iterator[Transition]:
        if not heard_s:
            yield from self.tick(end_s)
            return
        yield from self.tick(end_s - heard_s)  # the silence before
        self._average.hear(probability, heard_s)
        smoothed = self._average.value
        if self._open is None:
            if smoothed < self.rule.fire_at:
                return
            self._alerts += 1
            self._open = _Episode(f"{self._prefix}-{self._alerts}", since_s=end_s - heard_s)
            yield self._step(AlertState.PENDING, end_s)
        episode = self._open
        episode.peak = max(episode.peak, smoothed)
        if episode.state is AlertState.PENDING:
            if smoothed < self.rule.fire_at:
                yield self._step(AlertState.LAPSED, end_s)
                return
            episode.held_s += heard_s
            if episode.held_s >= self.rule.hold_s - ROUNDING_S:
                yield self._step(AlertState.FIRING, end_s)
        elif smoothed >= self.rule.clear_at:
            episode.below_since_s = None
        elif episode.below_since_s is None:
            episode.below_since_s = end_s
        yield from self.tick(end_s)

    def tick(self, at_s: float) -> Iterator[Transition]:
        if self._open is None or self._open.below_since_s is None:
            return
        if at_s - self._open.below_since_s >= self.rule.release_s - ROUNDING_S:
            yield self._step(AlertState.RESOLVED, at_s)

    def end(self, at_s: float) -> Iterator[Transition]:
        if self._open is None:
            return
        fired = self._open.state is AlertState.FIRING
        yield self._step(
            AlertState.RESOLVED if fired else AlertState.LAPSED, max(at_s, self._open.at_s)
        )

    def _step(self, state: AlertState, at_s: float) -> Transition:
        episode = self._open
        assert episode is not None
        smoothed = self._average.value
        episode.state = state
        episode.number += 1
        episode.at_s = at_s
        episode.peak = max(episode.peak, smoothed)
        if state in (AlertState.RESOLVED, AlertState.LAPSED):
            self._open = None
        return Transition(
            alert_id=episode.alert_id,
            number=episode.number,
            call_id=self.call_id,
            track=self.track,
            emotion=self.rule.emotion,
            state=state,
            since_s=episode.since_s,
            at_s=at_s,
            probability=smoothed,
            peak=episode.peak,
        )
