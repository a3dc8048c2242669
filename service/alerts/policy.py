"""When readings become alerts: one alert per episode, not one per window.

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
    """Thresholds and durations of one emotion's alerts."""

    emotion: Emotion
    fire_at: float  # smoothed probability
    clear_at: float  # smoothed probability, at most `fire_at`
    hold_s: float  # of speech at or above `fire_at` before an alert fires
    release_s: float  # of call time below `clear_at` before it resolves
    smooth_s: float  # of speech: a reading this old weighs 1/e of a new one

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
    """All alerts of one call: a state machine for each track and emotion.

    Alert ids begin with `session`, so that they stay unique when a call id is used twice.

    Raises:
        ValueError: two rules are for the same emotion.
    """

    def __init__(self, session: str, call_id: str, rules: Sequence[AlertRule]) -> None:
        _check_rules(rules)
        self.session = session
        self.call_id = call_id
        self.rules = tuple(rules)
        self._machines: dict[Track, list[_AlertMachine]] = {}
        self._read_to_s: dict[Track, float] = {}
        self._ended = False

    def use(self, rules: Sequence[AlertRule]) -> None:
        """Goes on with other rules for the same emotions, from the next reading on.

        Open alerts stay open until a reading, or time, ends them by the new rules.

        Raises:
            ValueError: the rules are for other emotions.
        """
        _check_rules(rules)
        by_emotion = {rule.emotion: rule for rule in rules}
        if set(by_emotion) != {rule.emotion for rule in self.rules}:
            raise ValueError(
                f"got rules for {', '.join(by_emotion) or 'nothing'}, "
                f"expected them for {', '.join(rule.emotion for rule in self.rules) or 'nothing'}"
            )
        self.rules = tuple(by_emotion[rule.emotion] for rule in self.rules)
        for machines in self._machines.values():
            for machine in machines:
                machine.use(by_emotion[machine.rule.emotion])

    def update(self, reading: Reading) -> list[Transition]:
        """Returns the transitions that a reading causes; none after `end`.

        Raises:
            ValueError: the reading is of another call, lacks a probability, has an impossible time,
                or ends before an earlier reading of its track.
        """
        self._check(reading)
        if self._ended:
            return []
        track = reading.track
        if track not in self._machines:
            self._machines[track] = [
                _AlertMachine(rule, self.session, self.call_id, track) for rule in self.rules
            ]
        self._read_to_s[track] = reading.end_s
        # Where windows were dropped, `heard_s` may count speech from before the window's start.
        heard_s = min(reading.heard_s, reading.end_s - reading.start_s)
        return [
            transition
            for machine in self._machines[track]
            for transition in machine.update(
                reading.probabilities[machine.rule.emotion], heard_s, reading.end_s
            )
        ]

    def advance(self, track: Track, at_s: float) -> list[Transition]:
        """Returns the transitions that the passing of time up to `at_s` causes on a track.

        All readings that end before `at_s` must have been given to `update`.
        """
        if self._ended:
            return []
        return [
            transition
            for machine in self._machines.get(track, ())
            for transition in machine.advance(at_s)
        ]

    def end(self, at_s: float) -> list[Transition]:
        """Ends every open alert with the call; no alert opens afterwards."""
        if self._ended:
            return []
        self._ended = True
        return [
            transition
            for machines in self._machines.values()
            for machine in machines
            for transition in machine.end(at_s)
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
                f"heard_s {reading.heard_s}, expected start <= end and heard_s of 0 or more"
            )
        if reading.end_s < (read_to_s := self._read_to_s.get(reading.track, -math.inf)):
            raise ValueError(
                f"got a reading that ends at {reading.end_s} s, "
                f"expected none before {read_to_s} s, the end of {reading.track}'s latest reading"
            )


def _check_rules(rules: Sequence[AlertRule]) -> None:
    emotions = [rule.emotion for rule in rules]
    if len(set(emotions)) < len(emotions):
        raise ValueError(f"got rules for {', '.join(emotions)}, expected one rule an emotion")


class _Average:
    """A weighted mean of probabilities.

    Speech of age t, in seconds of speech, weighs exp(-t / smooth_s).
    Windows overlap, so a window weighs as much as the speech that it adds, not as it contains. The
    weights are normalised: the first reading is the whole average at first, and if it added little
    speech, the readings after it soon outweigh it.
    """

    def __init__(self, smooth_s: float) -> None:
        self.smooth_s = smooth_s
        self._sum = 0.0
        self._weight = 0.0

    def add(self, probability: float, heard_s: float) -> None:
        kept = math.exp(-heard_s / self.smooth_s) if self.smooth_s else 0.0
        self._sum = kept * self._sum + (1 - kept) * probability
        self._weight = kept * self._weight + (1 - kept)

    @property
    def value(self) -> float:
        return self._sum / self._weight if self._weight else 0.0


@dataclass(slots=True)
class _OpenAlert:
    """An alert that is pending or firing."""

    alert_id: str
    since_s: float
    state: AlertState = AlertState.PENDING
    number: int = 0  # of the last transition
    at_s: float = 0.0  # of the last transition
    peak: float = 0.0
    above_s: float = 0.0  # of speech at or above `fire_at`, while pending
    below_since_s: float | None = None  # call time since when below `clear_at`, while firing


class _AlertMachine:
    """The alerts of one track and one emotion, at most one of them open."""

    def __init__(self, rule: AlertRule, session: str, call_id: str, track: Track) -> None:
        self.rule = rule
        self.call_id = call_id
        self.track = track
        self._prefix = f"{session}-{track}-{rule.emotion}"
        self._average = _Average(rule.smooth_s)
        self._alerts = 0
        self._open: _OpenAlert | None = None

    def use(self, rule: AlertRule) -> None:
        self.rule = rule
        self._average.smooth_s = rule.smooth_s

    def update(self, probability: float, heard_s: float, end_s: float) -> Iterator[Transition]:
        if not heard_s:
            yield from self.advance(end_s)
            return
        yield from self.advance(end_s - heard_s)  # the silence before
        self._average.add(probability, heard_s)
        smoothed = self._average.value
        if self._open is None:
            if smoothed < self.rule.fire_at:
                return
            self._alerts += 1
            self._open = _OpenAlert(f"{self._prefix}-{self._alerts}", since_s=end_s - heard_s)
            yield self._change(AlertState.PENDING, end_s)
        alert = self._open
        alert.peak = max(alert.peak, smoothed)
        if alert.state is AlertState.PENDING:
            if smoothed < self.rule.fire_at:
                yield self._change(AlertState.LAPSED, end_s)
                return
            alert.above_s += heard_s
            if alert.above_s >= self.rule.hold_s - ROUNDING_S:
                yield self._change(AlertState.FIRING, end_s)
        elif smoothed >= self.rule.clear_at:
            alert.below_since_s = None
        elif alert.below_since_s is None:
            alert.below_since_s = end_s
        yield from self.advance(end_s)

    def advance(self, at_s: float) -> Iterator[Transition]:
        if self._open is None or self._open.below_since_s is None:
            return
        if at_s - self._open.below_since_s >= self.rule.release_s - ROUNDING_S:
            yield self._change(AlertState.RESOLVED, at_s)

    def end(self, at_s: float) -> Iterator[Transition]:
        if self._open is None:
            return
        fired = self._open.state is AlertState.FIRING
        yield self._change(
            AlertState.RESOLVED if fired else AlertState.LAPSED, max(at_s, self._open.at_s)
        )

    def _change(self, state: AlertState, at_s: float) -> Transition:
        alert = self._open
        assert alert is not None
        smoothed = self._average.value
        alert.state = state
        alert.number += 1
        alert.at_s = at_s
        alert.peak = max(alert.peak, smoothed)
        if state in (AlertState.RESOLVED, AlertState.LAPSED):
            self._open = None
        return Transition(
            alert_id=alert.alert_id,
            number=alert.number,
            call_id=self.call_id,
            track=self.track,
            emotion=self.rule.emotion,
            state=state,
            since_s=alert.since_s,
            at_s=at_s,
            probability=smoothed,
            peak=alert.peak,
            fire_at=self.rule.fire_at,
        )
