"""What every dialect of telephony offers the edge: messages in, facts out, replies back; no I/O."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar, Protocol

from service.errors import CallRefused
from service.events import CallSummary, Event, Reading, Transition


class CloseCode(IntEnum):
    """How a connection ends (RFC 6455 section 7.4.1); bridges understand no others."""

    NORMAL = 1000
    GOING_AWAY = 1001
    UNSUPPORTED = 1003
    POLICY = 1008
    INTERNAL = 1011
    TRY_AGAIN_LATER = 1013


class Bridge(Protocol):
    """One connection in one dialect.

    The edge sends `replies()` after every call of another method, and then closes the connection
    when `close_code` says so. A dialect that wants no answers replies nothing.

    What a connection is that brings the id of a live call:
    - where both have `joins`, and its tracks are others: a part of that call;
    - where it `replaces`, and of its tracks the live one has some: the same call again, whose
      connection broke unnoticed. It is taken, and the older connection ends;
    - else somebody's mistake, which is refused.
    """

    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ()  # of websockets, that clients may ask for
    joins: bool = False
    replaces: bool = False

    close_code: CloseCode | None
    close_reason: str = ""  # a sentence to `close_code`
    message_errors: Counter[str]  # what was wrong with messages, by code

    @property
    def deadline_s(self) -> float | None:
        """How long things may stay as they are, counted from when their `stage` began."""
        return None

    @property
    def stage(self) -> object:
        """How things are; another one, and `deadline_s` is counted anew."""
        return None

    def overdue(self) -> list[Event]:
        """`deadline_s` has passed."""
        return []

    def reconnect(self, info: str) -> None:
        """The service will stop: a client that can go on elsewhere is asked to."""
        return

    @abstractmethod
    def receive(self, message: str | bytes) -> list[Event]:
        """The facts in one message; what is wrong with it is answered in the dialect's words."""

    @abstractmethod
    def disconnected(self) -> list[Event]:
        """The client is gone: the end of a call that was live."""

    @abstractmethod
    def replies(self) -> Sequence[str | bytes]:
        """All that is to be sent now, once."""

    @abstractmethod
    def started(self, session: str, model: str, version: str, hop_s: float) -> None:
        """The call is taken."""

    @abstractmethod
    def refused(self, refusal: CallRefused) -> None:
        """The call is not taken."""

    @abstractmethod
    def reading(self, reading: Reading) -> None:
        """How a window sounds."""

    @abstractmethod
    def alert(self, transition: Transition) -> None:
        """An alert's next step."""

    @abstractmethod
    def stopped(self, reason: str, summary: CallSummary) -> None:
        """The call is over, and this is what was made of it."""

    @abstractmethod
    def failed(self) -> None:
        """The service can't go on with this call."""
