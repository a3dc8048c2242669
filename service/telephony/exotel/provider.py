"""Exotel's settings, and its row in the table of providers."""

from pydantic import Field

from service.telephony.exotel.bridge import ExotelBridge
from service.telephony.exotel.client import ExotelClient
from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.basic import basic_authenticator
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, Secret, User


class ExotelSettings(ProviderSettings):
    """The credentials of Exotel's handshakes."""

    exotel_user: User = "kanjo"
    exotel_password: Secret | None = Field(None, description="HTTP Basic: password")


def create_bridge(
    settings: ExotelSettings, options: BridgeOptions, handshake: Handshake
) -> ExotelBridge:
    """Returns the bridge of one connection."""
    return ExotelBridge(options.analysed_tracks, options.directions)


def create_authenticator(settings: ExotelSettings) -> Authenticator | None:
    """Returns an authenticator of the password if it is set."""
    return basic_authenticator(settings.exotel_user, settings.exotel_password)


EXOTEL = Provider(
    name="exotel",
    settings=ExotelSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=ExotelClient,
    either_leg=True,
    facts={"caller_number": "from", "called_number": "to"},
    documentation=Documentation(
        title="Exotel",
        transport="JSON",
        voices="one or both",
        encodings="L16, mu-law",
        replies="nothing",
        credentials="HTTP Basic",
    ),
)
