"""A row of the table of providers: everything that the service needs of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from service.errors import KanjoError
from service.events import Track
from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.bridge import Bridge
from service.telephony.shared.client import ProviderClient
from service.telephony.shared.listen_only import MessageProblem
from service.telephony.shared.settings import ProviderSettings

S = TypeVar("S", bound=ProviderSettings)


class BadQuery(KanjoError):
    """The query of a handshake has an impossible value."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(got, expected)
        self.got = got
        self.expected = expected

    def __str__(self) -> str:
        return f"got {self.got}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """What the service decides for all bridges."""

    analysed_tracks: frozenset[Track] = frozenset({Track.CALLER})
    leg: Track = Track.CALLER  # on whose leg of the call the provider is connected
    analyse_mix: bool = False  # whether to analyse a mix of all speakers, as the caller
    max_frame_bytes: int = 524_288

    @property
    def other_leg(self) -> Track:
        """Whom the person on this leg is talking to."""
        return Track.AGENT if self.leg is Track.CALLER else Track.CALLER

    @property
    def directions(self) -> dict[str, Track]:
        """The track of each direction, seen from the provider: inbound comes from this leg."""
        return {"inbound": self.leg, "outbound": self.other_leg}


@dataclass(frozen=True, slots=True)
class Documentation:
    """A provider's row in the table of `service/telephony/README.md`."""

    title: str
    transport: str
    voices: str
    encodings: str
    replies: str
    credentials: str
    page: str | None = None  # relative to service/telephony; None: the folder's README.md


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(Generic[S]):
    """One provider, whose calls arrive at `/calls/{name}`.

    Args:
        name: of the provider: in paths, settings, metrics and stored calls.
        settings: the model of its settings.
        create_bridge: makes the bridge of one connection; raises Unauthorized or BadQuery if the
            handshake lacks what the bridge needs.
        create_authenticator: makes the authenticator of all connections, or None where no
            credentials are set.
        problems: the codes of what may be wrong with its messages.
        client: the provider's side, for replays.
        either_leg: whether it may also be connected to the agent's leg of a call.
        facts: the metadata in which the protocol itself gives a fact, by the fact's name.
        documentation: its row in the README's table.
    """

    name: str
    settings: type[S]
    create_bridge: Callable[[S, BridgeOptions, Handshake], Bridge]
    create_authenticator: Callable[[S], Authenticator | None]
    client: type[ProviderClient]
    problems: type[StrEnum] = MessageProblem
    either_leg: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    documentation: Documentation
