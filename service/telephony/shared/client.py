"""What every player is: a call's audio in, a provider's messages out, and what it is answered."""

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
    """No provider calls like this; the text says what was asked for and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClientCredentials:
    """What a provider proves itself with; None was not given."""

    api_key: str | None = None
    secret: str | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    public_url: str | None = None  # what signatures cover, where it is not the address called

    def given(self) -> list[str]:
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    def basic(self) -> dict[str, str]:
        """The header of HTTP Basic (RFC 7617), if there is a user."""
        if self.user is None:
            return {}
        credentials = b64encode(f"{self.user}:{self.password or ''}".encode()).decode()
        return {"Authorization": f"Basic {credentials}"}

    def bearer(self) -> dict[str, str]:
        """The header of a bearer token (RFC 6750), if there is one."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}


NO_CREDENTIALS = ClientCredentials()


@dataclass(frozen=True, slots=True)
class ReadingReceived:
    """A window that ended here was scored."""

    end_s: float


@dataclass(frozen=True, slots=True)
class AlertReceived:
    """An alert took a step."""

    call_id: str
    emotion: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """Something was wrong; after a fatal one the service closes."""

    code: str
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class StoppedReceived:
    """The service has said all it had to say."""


Received = ReadingReceived | AlertReceived | ErrorReceived | StoppedReceived


class Feedback(Enum):
    """How much of what a service finds out a provider is told."""

    NOTHING = "nothing"
    ALERTS = "alerts"
    READINGS = "readings"  # and alerts


class ProviderClient(ABC):
    """One connection as a provider makes it.

    As it stands it is told nothing, and hangs up when it has said all it had to say.

    Args:
        encoding: how samples travel; without one, as is usual for this provider.
        url: where it connects to.

    Raises:
        Unplayable: samples do not travel so, or another kind of access is used.
    """

    name: ClassVar[str]  # of the bridge
    encodings: ClassVar[tuple[Encoding, ...]]  # the usual one first
    takes: ClassVar[tuple[str, ...]] = ()  # fields of Access
    feedback: ClassVar[Feedback] = Feedback.NOTHING
    hangs_up: ClassVar[bool] = True  # or waits for StoppedHeard
    subprotocols: Sequence[str] = ()
    query: str = ""  # which the provider adds to the address

    def __init__(
        self,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None = None,
        *,
        url: str = "",
        access: ClientCredentials = NO_CREDENTIALS,
    ) -> None:
        self._call_id = call_id
        self._recording = recording
        self._encoding = encoding or self.encodings[0]
        self._access = access
        self._signed_url = access.public_url or url
        if self._encoding not in self.encodings:
            expected = " or ".join(self.encodings)
            raise UnsupportedByProvider(
                f"{self.name}: got encoding {encoding}, expected {expected}"
            )
        for field in access.given():
            if field not in self.takes:
                taken = ", ".join(self.takes)
                raise UnsupportedByProvider(
                    f"{self.name}: got access by {field}, expected {taken} or none"
                )
        if access.password is not None and access.user is None:
            raise UnsupportedByProvider(f"{self.name}: got a password, expected a user with it")

    @classmethod
    def connections(
        cls,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None,
        url: str,
        access: ClientCredentials,
    ) -> "Sequence[ProviderClient]":
        """All that this provider makes for one call."""
        return [cls(call_id, recording, encoding, url=url, access=access)]

    def headers(self) -> Mapping[str, str]:
        """Of the handshake; signed anew at each call."""
        return {}

    @abstractmethod
    def start(self) -> Iterable[Message]:
        """What is said first."""

    @abstractmethod
    def frame(self, pcm: Pcm) -> Iterable[Message]:
        """What is due with the next samples (n, tracks)."""

    def stop(self) -> Iterable[Message]:
        """What is said last."""
        return ()

    def receive(self, message: Message) -> Iterable[Received]:
        """What a message of the service says."""
        yield ErrorReceived("unexpected", f"got {message[:80]!r}, expected nothing", fatal=False)


def encoded(pcm: Pcm, encoding: Encoding) -> bytes:
    """Samples as they travel; those of several tracks stay interleaved."""
    match encoding:
        case Encoding.MULAW:
            return mulaw_encode(pcm).tobytes()
        case Encoding.ALAW:
            return alaw_encode(pcm).tobytes()
        case Encoding.L16:
            return pcm.astype("<i2", copy=False).tobytes()
