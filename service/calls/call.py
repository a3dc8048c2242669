"""One call: its streams, its alerts and its end."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from model.speaker_baseline import SpeakerBaseline
from service.alerts.policy import AlertPolicy
from service.calls.context import CallContext
from service.events import CallStarted, CallSummary, Track

if TYPE_CHECKING:
    from service.calls.stream import CallStream


class Call:
    """One call's story, told by one connection or by several, each with tracks of its own.

    It ends when the last of them has left.
    """

    def __init__(
        self,
        started: CallStarted,
        context: CallContext,
        ended: Callable[["Call"], None],
        callers: dict[Track, SpeakerBaseline],
    ) -> None:
        self.session = uuid4().hex
        self.context = context
        self.started = started  # all streams together
        self.streams: list[CallStream] = []
        self.policy = AlertPolicy(self.session, started.call_id, context.rules)
        self.readings = self.fired = self.dropped = 0
        self.speech_s = 0.0  # of streams that have left
        self.reached_s: dict[Track, float] = {}  # how far those were heard
        self.callers = callers
        self._ended = ended
        self._heard_from: float | None = None  # monotonic, of the first audio
        self._started_at = time.time()
        context.store.call_started(self.session, started, self._started_at)

    def join(self, started: CallStarted) -> None:
        """Another connection brings more of it."""
        self.started = replace(
            self.started,
            tracks=tuple(dict.fromkeys((*self.started.tracks, *started.tracks))),
            metadata={**started.metadata, **self.started.metadata},
        )
        self.context.store.call_joined(self.session, self.started, self._started_at)

    def caller(self, track: Track) -> SpeakerBaseline:
        """What is known of a track's voice, whichever connections brought it."""
        return self.callers.setdefault(track, SpeakerBaseline(self.context.meta.features))

    def begin_s(self, arrived: float) -> float:
        """Where in the call audio belongs that comes now and is the first of its connection."""
        if self._heard_from is None:
            self._heard_from = arrived
        return arrived - self._heard_from

    def end(self, reason: str) -> None:
        """Nobody brings any more of it, and all there was to tell of it has been told."""
        self.context.store.call_ended(
            self.session, self.started.call_id, reason, self.duration_s, time.time()
        )
        self._ended(self)

    @property
    def summary(self) -> CallSummary:
        return CallSummary(
            duration_s=self.duration_s,
            speech_s=self.speech_s,
            readings=self.readings,
            alerts=self.fired,
            dropped=self.dropped,
        )

    @property
    def duration_s(self) -> float:
        return max(self.reached_s.values(), default=0.0)
