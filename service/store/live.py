"""The live calls of this process, to be written again to a Redis that has lost its data."""

from collections.abc import Iterator
from dataclasses import replace

from service.events import AlertState, Consent
from service.store.entries import CallStartedEntry, Command, Entry, TransitionEntry

OPEN = (AlertState.PENDING, AlertState.FIRING)


class LiveCalls:
    """The starts of live sessions, with all tracks so far, and the steps of their open alerts."""

    def __init__(self) -> None:
        self._starts: dict[str, CallStartedEntry] = {}  # by session
        self._steps: dict[str, dict[str, list[TransitionEntry]]] = {}  # by session and alert id
        self._given_up: set[str] = set()  # sessions

    def start(self, entry: CallStartedEntry) -> None:
        """Adds a session, or replaces its start."""
        self._starts[entry.session] = entry

    def step(self, entry: TransitionEntry) -> None:
        """Adds a step of an alert of a live session; a step that closes the alert removes it."""
        if entry.session not in self._starts:
            return
        alerts = self._steps.setdefault(entry.session, {})
        if entry.transition.state in OPEN:
            alerts.setdefault(entry.transition.alert_id, []).append(entry)
        else:
            alerts.pop(entry.transition.alert_id, None)

    def consent(self, session: str, consent: Consent) -> None:
        """Changes what the caller of a session agreed to, if it is live."""
        if start := self._starts.get(session):
            self._starts[session] = replace(start, started=replace(start.started, consent=consent))

    def end(self, session: str) -> None:
        """Removes a session with its alerts."""
        self._starts.pop(session, None)
        self._steps.pop(session, None)
        self._given_up.discard(session)

    def give_up(self, command: Command) -> None:
        """Records that Redis can never apply what `entries` yielded of a session.

        To write the same again would make a dead letter of it each time, so the session counts
        neither among `restorable` nor among `last_steps` any more.
        """
        if command.kind in (CallStartedEntry.kind, TransitionEntry.kind):
            names, values = command.arguments[::2], command.arguments[1::2]
            session = dict(zip(names, values, strict=True)).get("session", "")
            if session in self._starts:
                self._given_up.add(session)

    @property
    def restorable(self) -> list[str]:
        """The live sessions that can be written again to a Redis that lacks them alone."""
        return [session for session in self._starts if session not in self._given_up]

    @property
    def starts(self) -> list[CallStartedEntry]:
        """The starts of all live sessions."""
        return list(self._starts.values())

    def last_steps(self) -> list[TransitionEntry]:
        """Returns the last step of each open alert of the `restorable` sessions."""
        return [
            steps[-1]
            for session, alerts in self._steps.items()
            if session not in self._given_up
            for steps in alerts.values()
        ]

    def steps(self, last: TransitionEntry) -> list[TransitionEntry]:
        """Returns all steps of the open alert with this last step; none if it has closed."""
        return list(self._steps.get(last.session, {}).get(last.transition.alert_id, ()))

    def entries(self, session: str) -> Iterator[Entry]:
        """Yields the start of a session and the steps of its open alerts, in their order."""
        if session in self._starts:
            yield self._starts[session]
            for steps in self._steps.get(session, {}).values():
                yield from steps

    def everything(self) -> Iterator[Entry]:
        """Yields what `entries` does, of all live sessions."""
        for session in self._starts:
            yield from self.entries(session)
