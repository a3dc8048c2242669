"""Plivo's settings, and its row in the table of providers."""

from pydantic import Field

from service.telephony.plivo.auth import PlivoAuthenticator
from service.telephony.plivo.bridge import PlivoBridge
from service.telephony.plivo.client import PlivoClient
from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, PublicUrl, SigningSecret


class PlivoSettings(ProviderSettings):
    """What signs Plivo's handshakes."""

    plivo_url: PublicUrl | None = Field(
        None, description="public address of `/calls/plivo`, as the XML has it: it is signed"
    )
    plivo_auth_token: SigningSecret | None = Field(
        None, description="what signs it: the account's auth token"
    )


def create_bridge(
    settings: PlivoSettings, options: BridgeOptions, handshake: Handshake
) -> PlivoBridge:
    """Returns the bridge of one connection."""
    return PlivoBridge(options.analysed_tracks, options.directions)


def create_authenticator(settings: PlivoSettings) -> Authenticator | None:
    """Returns an authenticator of signatures if there is a secret."""
    if settings.plivo_url is None or settings.plivo_auth_token is None:
        return None
    return PlivoAuthenticator(settings.plivo_url, settings.plivo_auth_token.get_secret_value())


PLIVO = Provider(
    name="plivo",
    settings=PlivoSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=PlivoClient,
    either_leg=True,
    documentation=Documentation(
        title="Plivo",
        transport="JSON",
        voices="both",
        encodings="mu-law, L16",
        replies="nothing",
        credentials="signed address",
    ),
)
