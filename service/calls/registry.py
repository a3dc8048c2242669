"""The live calls of the service: admission, and which connection belongs to which call."""

from collections.abc import Callable, Mapping

from service.calls.call import Call
from service.calls.context import CallContext
from service.calls.result_queue import ResultListener
from service.calls.stream import CallStream
from service.errors import CallExists, Overloaded
from service.events import CallStarted, Consent
from service.store.erasure import CALL_ERASED


class CallRegistry:
    """The live calls by id, at most `max_calls` of them."""

    def __init__(self, context: CallContext, max_calls: int) -> None:
        self.context = context
        self._max_calls = max_calls
        self._live: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._live)

    @property
    def sessions(self) -> frozenset[str]:
        """The sessions of the live calls."""
        return frozenset(call.session for call in self._live.values())

    @property
    def is_full(self) -> bool:
        """Whether a new call would be refused."""
        return len(self._live) >= self._max_calls

    def open(
        self,
        started: CallStarted,
        listener: ResultListener,
        *,
        joins: bool = False,
        replaces: bool = False,
        replaced: Callable[[], None] = lambda: None,
    ) -> CallStream:
        """Admits a connection: as a new call, or as a stream of a live one (rules in `Bridge`).

        Args:
            started: what the connection announced.
            listener: is given the stream's readings and transitions.
            joins: the connection may be one of several of the same call.
            replaces: the connection may be a retry of one that broke unnoticed.
            replaced: is called when a newer connection has replaced this one.

        Raises:
            CallExists: a live call has this id, and this is neither a stream of it nor its retry.
            Overloaded: `max_calls` calls are live.
        """
        metrics = self.context.metrics
        earlier = self._live.get(started.call_id)
        try:
            call = self._call_to_join(started, joins, replaces)
        except (CallExists, Overloaded) as refusal:
            metrics.calls_refused.labels(started.bridge, type(refusal).__name__).inc()
            raise
        if call is None:
            # A retry goes on with the speaker baselines of the call that it replaces.
            baselines = earlier.baselines if earlier else {}
            call = Call(started, self.context, self._remove, baselines)
            self._live[started.call_id] = call
            metrics.calls_started.labels(started.bridge).inc()
            metrics.live_calls.set(len(self._live))
        else:
            call.extend(started)
        return CallStream(call, started, self.context, listener, joins, replaced)

    def give_consent(self, session: str) -> bool:
        """Records that the caller of a session agreed; returns False if it is not live here."""
        call = self._of_session(session)
        if call:
            call.give_consent()
        return call is not None

    def refuse(self, session: str) -> None:
        """Stops the analysis of a session at once, if it is live here (`Call.refuse`).

        Its alerts are not told to receivers outside any more.
        """
        self.context.alerts.forget(session)
        if call := self._of_session(session):
            call.refuse()

    def on_event(self, kind: str, fields: Mapping[str, str]) -> None:
        """Acts on an event of the store: another process may be asked about a call of this one."""
        session = fields.get("session", "")
        if kind == CALL_ERASED:
            self.refuse(session)
        elif kind == "call_started" and fields.get("consent") == Consent.GIVEN:
            self.give_consent(session)

    def _of_session(self, session: str) -> Call | None:
        return next((call for call in self._live.values() if call.session == session), None)

    def _call_to_join(self, started: CallStarted, joins: bool, replaces: bool) -> Call | None:
        """Returns the live call that the connection joins; None if it begins a new one.

        Ends the streams that the connection replaces. Raises as `open` does.
        """
        call = self._live.get(started.call_id)
        if call is None:
            if self.is_full:
                raise Overloaded(self._max_calls)
            return None
        older = [stream for stream in call.streams if not stream.tracks.isdisjoint(started.tracks)]
        others = [stream for stream in call.streams if stream not in older]
        mistaken = (
            call.bridge != started.bridge
            or (older and not replaces)
            or (others and not (joins and all(stream.joins for stream in others)))
        )
        if mistaken:
            raise CallExists(started.call_id)
        for stream in older:
            stream.replace()
        return call if others else None

    def _remove(self, call: Call) -> None:
        del self._live[call.call_id]
        self.context.metrics.live_calls.set(len(self._live))
