"""The live calls of the service: admission, and which connection belongs to which call."""

from collections.abc import Callable

from service.calls.call import Call
from service.calls.context import CallContext
from service.calls.stream import CallStream, ResultListener
from service.errors import CallExists, Overloaded
from service.events import CallStarted


class CallRegistry:
    """The calls under way: at most `max_calls`, each id once."""

    def __init__(self, context: CallContext, max_calls: int) -> None:
        self.context = context
        self._max_calls = max_calls
        self._live: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._live)

    def open(
        self,
        started: CallStarted,
        listener: ResultListener,
        *,
        joins: bool = False,
        replaces: bool = False,
        replaced: Callable[[], None] = lambda: None,
    ) -> CallStream:
        """Takes a connection for a call, or for a stream of a live one (`Bridge` has the rules).

        `replaced` is called when a newer connection has taken the place of this one.

        Raises:
            CallExists: a live call has this id, and this is neither a stream of it nor its retry.
            Overloaded: there are as many calls as the service takes.
        """
        metrics = self.context.metrics
        before = self._live.get(started.call_id)
        try:
            call = self._live_call(started, joins, replaces)
        except (CallExists, Overloaded) as refusal:
            metrics.calls_refused.labels(started.bridge, type(refusal).__name__).inc()
            raise
        if call is None:
            callers = before.callers if before else {}  # of a retry, the voices are known
            call = Call(started, self.context, self._forget, callers)
            self._live[started.call_id] = call
            metrics.calls_started.labels(started.bridge).inc()
            metrics.live_calls.set(len(self._live))
        else:
            call.join(started)
        stream = CallStream(call, started, listener, joins, replaced)
        call.streams.append(stream)
        return stream

    def _live_call(self, started: CallStarted, joins: bool, replaces: bool) -> Call | None:
        """The one that this is a stream of."""
        call = self._live.get(started.call_id)
        if call is None:
            if len(self._live) >= self._max_calls:
                raise Overloaded(self._max_calls)
            return None
        older = [stream for stream in call.streams if not stream.tracks.isdisjoint(started.tracks)]
        others = [stream for stream in call.streams if stream not in older]
        mistaken = (
            call.started.bridge != started.bridge
            or (older and not replaces)
            or (others and not (joins and all(stream.joins for stream in others)))
        )
        if mistaken:
            raise CallExists(started.call_id)
        for stream in older:
            stream.replace()
        return call if others else None

    def _forget(self, call: Call) -> None:
        del self._live[call.started.call_id]
        self.context.metrics.live_calls.set(len(self._live))
