"""Vonage's settings, and its row in the table of providers."""

from pydantic import Field

from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.bearer import bearer_authenticator
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, Secret
from service.telephony.vonage.bridge import VonageBridge
from service.telephony.vonage.client import VonageClient


class VonageSettings(ProviderSettings):
    """The token of Vonage's handshakes."""

    vonage_token: Secret | None = Field(None, description="`Authorization: Bearer`")


def create_bridge(
    settings: VonageSettings, options: BridgeOptions, handshake: Handshake
) -> VonageBridge:
    """Returns the bridge of one connection."""
    return VonageBridge(options.analysed_tracks, options.analyse_mix)


def create_authenticator(settings: VonageSettings) -> Authenticator | None:
    """Returns an authenticator of the token if it is set."""
    return bearer_authenticator(settings.vonage_token)


VONAGE = Provider(
    name="vonage",
    settings=VonageSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=VonageClient,
    documentation=Documentation(
        title="Vonage",
        transport="binary",
        voices="all in one",
        encodings="L16",
        replies="nothing",
        credentials="bearer token",
    ),
)
