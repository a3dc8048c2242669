"""One call: its streams, its counters, its alerts and its end."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol
from uuid import uuid4

import structlog

from model.embedding_baseline import TrackBaseline, new_baseline
from model.labels import Emotion
from service.alerts.policy import AlertPolicy
from service.alerts.policy_file import Policy
from service.calls.context import CallContext
from service.calls.windows import Window
from service.events import (
    AlertState,
    CallFacts,
    CallStarted,
    CallSummary,
    Consent,
    Reading,
    Track,
    Transition,
)
from service.scoring.scorer import Posterior
from service.store.receipt import Receipt

log = structlog.get_logger()

PROBLEM = "kanjo.problem"  # the name in a call's metadata


class Step(NamedTuple):
    """A transition that has been given to the store."""

    transition: Transition
    receipt: Receipt  # tells when it is kept


class AttachedStream(Protocol):
    """What a call requires of its streams."""

    @property
    def tracks(self) -> frozenset[Track]:
        """The tracks that the stream's connection has announced."""

    @property
    def joins(self) -> bool:
        """Whether streams of other tracks may belong to the same call (see `Bridge`)."""

    def forget(self) -> None:
        """Drops all audio, windows and results that are under way."""

    def replace(self) -> None:
        """Ends the stream because a newer connection brings its tracks."""


class Call:
    """One call, brought by one stream or by several, each with tracks of its own.

    Its log entries name the session only: an id, as metadata, may be a telephone number.

    Streams attach, hand in the scores of their windows, and detach. The call numbers the readings,
    decides on alerts and writes both to the store. It ends when its last stream has detached.
    """

    def __init__(
        self,
        started: CallStarted,
        context: CallContext,
        on_end: Callable[["Call"], None],
        baselines: dict[Track, TrackBaseline],
    ) -> None:
        self.session = uuid4().hex
        self._started = started  # of all streams together
        self._context = context
        self._on_end = on_end
        self._baselines = baselines
        self._streams: list[AttachedStream] = []
        self._policy = AlertPolicy(self.session, started.call_id, context.rules)
        self._followed: tuple[Policy | None, str | None] = (None, None)  # of which rules are in use
        self._readings = self._fired = self._dropped = 0
        self._speech_s = 0.0  # of streams that have detached
        self._positions_s: dict[Track, float] = {}  # where the tracks of those streams ended
        self._first_audio_at: float | None = None  # on `context.clock`
        self._started_at = context.wall_clock()
        if self.refused:
            self._started = replace(started, metadata={}, facts=CallFacts())
            context.store.refused(self.session, started.call_id, started.bridge)
        else:
            context.store.call_started(self.session, started, self._started_at)
        log.info(
            "call_started",
            session=self.session,
            bridge=started.bridge,
            tracks=" ".join(started.tracks),
        )

    @property
    def call_id(self) -> str:
        return self._started.call_id

    @property
    def bridge(self) -> str:
        return self._started.bridge

    @property
    def facts(self) -> CallFacts:
        """What is known of the call; nothing of one whose caller refused."""
        return self._started.facts

    @property
    def streams(self) -> tuple[AttachedStream, ...]:
        """The streams that are attached now."""
        return tuple(self._streams)

    @property
    def baselines(self) -> dict[Track, TrackBaseline]:
        """The speaker baselines of all tracks so far; a retry of this call goes on with them."""
        return self._baselines

    @property
    def refused(self) -> bool:
        """Whether the caller refused: nothing of the call is analysed or kept."""
        return self._started.consent is Consent.REFUSED

    @property
    def analysed(self) -> bool:
        """Whether the call's audio is analysed now; what comes before is not kept."""
        given = self._started.consent is Consent.GIVEN
        return not self.refused and (given or not self._context.consent_required)

    def give_consent(self) -> None:
        """Records that the caller agreed; a refusal stays one."""
        if self._started.consent is Consent.UNKNOWN:
            self._started = replace(self._started, consent=Consent.GIVEN)
            self._context.store.consent(self.session, self.call_id, Consent.GIVEN)

    def refuse(self) -> None:
        """Stops the analysis at once and forgets what came of it, because the caller refused.

        The call lasts on without it, so that the telephone system notices nothing. The owner of the
        store must erase the session there.
        """
        if self.refused:
            return
        bare = replace(self._started, metadata={}, facts=CallFacts(), consent=Consent.REFUSED)
        self._started = bare
        self._policy = AlertPolicy(self.session, self.call_id, self._context.rules)
        self._baselines.clear()
        self._readings = self._fired = 0
        self._speech_s = 0.0
        for stream in self._streams:
            stream.forget()
        log.info("call_refused_by_caller", session=self.session, bridge=self.bridge)

    def extend(self, started: CallStarted) -> None:
        """Adds tracks, metadata and facts of another stream; earlier ones take precedence.

        Consent that the stream brings counts for the whole call.
        """
        if self.refused:
            return
        if started.consent is Consent.REFUSED:
            self._context.store.refused(self.session, self.call_id, started.bridge)
            self.refuse()
            return
        self._started = replace(
            self._started,
            tracks=tuple(dict.fromkeys((*self._started.tracks, *started.tracks))),
            metadata={**started.metadata, **self._started.metadata},
            facts=self._started.facts.extended(started.facts),
        )
        self._context.store.call_joined(self.session, self._started, self._started_at)
        if started.consent is Consent.GIVEN:
            self.give_consent()

    def report(self, problem: str) -> None:
        """Adds to the call's record why its audio can't be analysed; the first reason stays."""
        if not self.refused and PROBLEM not in self._started.metadata:
            metadata = {PROBLEM: problem, **self._started.metadata}
            self._started = replace(self._started, metadata=metadata)
            self._context.store.call_joined(self.session, self._started, self._started_at)

    def attach(self, stream: AttachedStream) -> None:
        """Adds a stream; the call lasts until `detach` has been called for each of them."""
        self._streams.append(stream)

    def baseline(self, track: Track) -> TrackBaseline:
        """Returns the speaker baseline of a track, which all streams of that track share."""
        meta = self._context.meta
        return self._baselines.setdefault(track, new_baseline(meta.features, meta.embedding))

    def elapsed_s(self, arrived_at: float) -> float:
        """Returns the call time of a moment on `context.clock`; the first audio is at 0 s."""
        if self._first_audio_at is None:
            self._first_audio_at = arrived_at
        return arrived_at - self._first_audio_at

    def position_s(self, track: Track) -> float:
        """Returns the call time at which detached streams left this track; 0 without any."""
        return self._positions_s.get(track, 0.0)

    def add_reading(
        self, track: Track, window: Window, posterior: Posterior
    ) -> tuple[Reading, list[Step]]:
        """Numbers and stores a window's reading; returns it with the transitions it causes.

        The windows of a track must be handed in by the order of their ends.
        """
        self._readings += 1
        reading = Reading(
            call_id=self.call_id,
            number=self._readings,
            track=track,
            start_s=window.start_s,
            end_s=window.end_s,
            heard_s=window.heard_s,
            probabilities=posterior.emotion,
        )
        self._follow_policy()
        self._context.store.reading(self.session, reading, self._context.wall_clock())
        self._context.metrics.readings.labels(track).inc()
        return reading, self._record(self._policy.update(reading))

    def add_dropped(self, reason: str) -> None:
        """Counts a window that will not be scored."""
        self._dropped += 1
        self._context.metrics.windows_dropped.labels(reason).inc()

    def advance(self, track: Track, at_s: float) -> list[Step]:
        """Returns the transitions that silence up to `at_s` causes.

        All windows of the track that end before `at_s` must have been handed in.
        """
        return self._record(self._policy.advance(track, at_s))

    def detach(
        self,
        stream: AttachedStream,
        positions_s: Mapping[Track, float],
        speech_s: float,
        reason: str,
    ) -> list[Step]:
        """Removes a stream, and ends the call if it was the last; returns the last transitions.

        `positions_s` is where each of its tracks ended, `speech_s` how much speech was in them.
        """
        self._positions_s.update(positions_s)
        self._speech_s += speech_s
        self._streams.remove(stream)
        if self._streams:
            return []
        duration_s = self._duration_s
        transitions = self._record(self._policy.end(duration_s))
        if not self.refused:
            self._context.store.call_ended(
                self.session, self.call_id, reason, duration_s, self._context.wall_clock()
            )
        log.info(
            "call_ended",
            session=self.session,
            bridge=self.bridge,
            # A reason of the provider's own may be any text.
            reason=reason if re.fullmatch("[a-z_ ]{1,40}", reason) else "other",
            duration_s=round(duration_s, 1),
            speech_s=round(self._speech_s, 1),
            readings=self._readings,
            alerts=self._fired,
            dropped=self._dropped,
        )
        self._on_end(self)
        return transitions

    @property
    def summary(self) -> CallSummary:
        """The counters so far; duration and speech are those of streams that have detached."""
        return CallSummary(
            duration_s=self._duration_s,
            speech_s=self._speech_s,
            readings=self._readings,
            alerts=self._fired,
            dropped=self._dropped,
        )

    @property
    def _duration_s(self) -> float:
        return max(self._positions_s.values(), default=0.0)

    @property
    def _queue(self) -> str | None:
        return self._started.facts.queue

    def _follow_policy(self) -> None:
        """Takes over the rules of the policy file if it, or the call's queue, has changed."""
        source = self._context.policy
        if source is None:
            return
        policy, queue = source.current, self._queue
        if policy is not self._followed[0] or queue != self._followed[1]:
            self._followed = (policy, queue)
            self._policy.use(policy.rules(self._context.rules, queue))

    def _muted_until(self, emotion: Emotion) -> float | None:
        source = self._context.policy
        if source is None:
            return None
        return source.current.muted_until(self._queue, emotion, self._context.wall_clock())

    def _record(self, transitions: list[Transition]) -> list[Step]:
        steps = []
        for transition in transitions:
            self._fired += transition.state is AlertState.FIRING
            receipt = self._context.store.transition(
                self.session,
                transition,
                self._context.wall_clock(),
                queue=self._queue,
                policy_until=self._muted_until(transition.emotion),
            )
            steps.append(Step(transition, receipt))
            self._context.metrics.alert_transitions.labels(
                transition.emotion, transition.state
            ).inc()
            log.info(
                "alert",
                session=self.session,
                track=transition.track,
                emotion=transition.emotion,
                state=transition.state,
                probability=round(transition.probability, 2),
                at_s=round(transition.at_s, 1),
            )
        return steps
