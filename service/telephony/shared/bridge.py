"""The interface between a provider's protocol and the service, without I/O.

A bridge turns messages into events, and readings, alerts and refusals into replies.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar, Protocol

from service.errors import CallRefused
from service.events import CallSummary, Event, Reading, Transition


class CloseCode(IntEnum):
    """The close codes of RFC 6455 section 7.4.1 that bridges use."""

    NORMAL = 1000
    GOING_AWAY = 1001
    UNSUPPORTED = 1003
    POLICY = 1008
    INTERNAL = 1011
    TRY_AGAIN_LATER = 1013


class Bridge(Protocol):
    """The service's side of one connection in one provider's protocol.

    After each call of another method the connection must send `replies()`, and close if
    `close_code` is set. A bridge of a one-way protocol has no replies.

    A connection may bring the id of a live call. Then, in this order:
    - if both have `joins` set and their tracks differ, it is another stream of that call;
    - if it has `replaces` set and shares a track with the live call, it is the same call again,
      whose earlier connection broke unnoticed: it is accepted and the earlier one is ended;
    - otherwise it is refused.
    """

    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ()  # of websockets, which clients may offer
    joins: bool = False
    replaces: bool = False
    burst_s: float = 10.0  # audio that clients may send at once, as after a stall of the network

    close_code: CloseCode | None
    close_reason: str = ""  # a sentence that goes with `close_code`
    message_errors: Counter[str]  # how many messages were wrong, by code

    @property
    def deadline_s(self) -> float | None:
        """How many seconds the current `stage` may last; None is no limit."""
        return None

    @property
    def stage(self) -> object:
        """Identifies the current stage; `deadline_s` is measured from its last change."""
        return None

    def overdue(self) -> list[Event]:
        """Returns the events that follow because `deadline_s` has passed."""
        return []

    def reconnect(self, info: str) -> None:
        """Asks the client to connect elsewhere, if the protocol can: the service will stop."""
        return

    @abstractmethod
    def receive(self, message: str | bytes) -> list[Event]:
        """Returns the events in one message; errors in it are counted and, if possible, replied."""

    @abstractmethod
    def disconnected(self) -> list[Event]:
        """Returns the events that end a live call after the client has disconnected."""

    @abstractmethod
    def replies(self) -> Sequence[str | bytes]:
        """Returns the messages to send now and removes them from the bridge."""

    @abstractmethod
    def started(self, session: str, model: str, version: str, hop_s: float) -> None:
        """Replies that the call was accepted."""

    @abstractmethod
    def refused(self, refusal: CallRefused) -> None:
        """Replies that the call was not accepted."""

    @abstractmethod
    def reading(self, reading: Reading) -> None:
        """Replies with a reading."""

    @abstractmethod
    def alert(self, transition: Transition) -> None:
        """Replies with a transition of an alert."""

    @abstractmethod
    def stopped(self, reason: str, summary: CallSummary) -> None:
        """Replies that the call is over, with its totals."""

    @abstractmethod
    def failed(self) -> None:
        """Replies that the service failed and can't continue the call."""
