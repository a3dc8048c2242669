"""The provider's side of a connection, for replays and tests.

A client turns recorded audio into the provider's messages, and the service's replies into facts.
"""

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import ClassVar

from model.audio import alaw_encode, mulaw_encode
from service.errors import KanjoError
from service.events import Pcm
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

Message = str | bytes


class UnsupportedByProvider(KanjoError):
    """A client can't do what it was asked; the text states what was asked and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClientCredentials:
    """The credentials that a client sends; None was not given."""

    api_key: str | None = None
    secret: str | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    public_url: str | None = None  # that is signed, where it differs from the address connected to

    def given(self) -> list[str]:
        """Returns the names of the credentials that are not None."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    def basic(self) -> dict[str, str]:
        """Returns the header of HTTP Basic (RFC 7617), if there is a user."""
        if self.user is None:
            return {}
        credentials = b64encode(f"{self.user}:{self.password or ''}".encode()).decode()
        return {"Authorization": f"Basic {credentials}"}

    def bearer(self) -> dict[str, str]:
        """Returns the header of a bearer token (RFC 6750), if there is one."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}


NO_CREDENTIALS = ClientCredentials()


@dataclass(frozen=True, slots=True)
class ReadingReceived:
    """A reading arrived; its window begins at `start_s` and ends at `end_s`, in call time."""

    call_id: str
    track: str
    start_s: float
    end_s: float
    probabilities: Mapping[str, float]  # by emotion


@dataclass(frozen=True, slots=True)
class AlertReceived:
    """A transition of an alert arrived."""

    call_id: str
    emotion: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """An error arrived; after a fatal one the service closes the connection."""

    code: str
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class StoppedReceived:
    """The last message of the service arrived."""


Received = ReadingReceived | AlertReceived | ErrorReceived | StoppedReceived


class Feedback(Enum):
    """Which results the service sends to a provider."""

    NOTHING = "nothing"
    ALERTS = "alerts"
    READINGS = "readings"  # and alerts


class ProviderClient(ABC):
    """One connection from a provider.

    By default a client receives nothing, and closes the connection after its last message.

    Args:
        call_id: the call's id, by the provider's name for it.
        recording: whose audio will be passed to `frame`.
        encoding: of samples; by default the provider's usual one.
        url: the address to connect to.
        credentials: to send.

    Raises:
        UnsupportedByProvider: the provider does not use this encoding, or these credentials.
    """

    name: ClassVar[str]  # of the provider
    encodings: ClassVar[tuple[Encoding, ...]]  # the usual one first
    accepts: ClassVar[tuple[str, ...]] = ()  # fields of ClientCredentials
    feedback: ClassVar[Feedback] = Feedback.NOTHING
    hangs_up: ClassVar[bool] = True  # False: waits for StoppedReceived
    subprotocols: Sequence[str] = ()
    query: str = ""  # that the provider adds to the address

    def __init__(
        self,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None = None,
        *,
        url: str = "",
        credentials: ClientCredentials = NO_CREDENTIALS,
    ) -> None:
        self._call_id = call_id
        self._recording = recording
        self._encoding = encoding or self.encodings[0]
        self._credentials = credentials
        self._signed_url = credentials.public_url or url
        if self._encoding not in self.encodings:
            expected = " or ".join(self.encodings)
            raise UnsupportedByProvider(
                f"{self.name}: got encoding {encoding}, expected {expected}"
            )
        for field in credentials.given():
            if field not in self.accepts:
                accepted = ", ".join(self.accepts)
                raise UnsupportedByProvider(
                    f"{self.name}: got access by {field}, expected {accepted} or none"
                )
        if credentials.password is not None and credentials.user is None:
            raise UnsupportedByProvider(f"{self.name}: got a password, expected a user with it")

    @classmethod
    def connections(
        cls,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None,
        url: str,
        credentials: ClientCredentials,
    ) -> "Sequence[ProviderClient]":
        """Returns a client for each connection that the provider makes for one call."""
        return [cls(call_id, recording, encoding, url=url, credentials=credentials)]

    def headers(self) -> Mapping[str, str]:
        """Returns headers for the handshake; each call signs them anew."""
        return {}

    @abstractmethod
    def start(self) -> Iterable[Message]:
        """Yields the first messages of the connection."""

    @abstractmethod
    def frame(self, pcm: Pcm) -> Iterable[Message]:
        """Yields the messages that are due with the next samples (n, tracks)."""

    def stop(self) -> Iterable[Message]:
        """Yields the last messages of the connection."""
        return ()

    def receive(self, message: Message) -> Iterable[Received]:
        """Yields the content of a message from the service."""
        yield ErrorReceived("unexpected", f"got {message[:80]!r}, expected nothing", fatal=False)


def encoded(pcm: Pcm, encoding: Encoding) -> bytes:
    """Returns encoded samples; those of several tracks stay interleaved."""
    match encoding:
        case Encoding.MULAW:
            return mulaw_encode(pcm).tobytes()
        case Encoding.ALAW:
            return alaw_encode(pcm).tobytes()
        case Encoding.L16:
            return pcm.astype("<i2", copy=False).tobytes()
