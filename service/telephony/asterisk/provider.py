"""Asterisk's settings, and its row in the table of providers."""

from pydantic import Field

from service.telephony.asterisk.bridge import TRACKS, AsteriskBridge
from service.telephony.asterisk.client import AsteriskClient
from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.basic import basic_authenticator
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, Secret, User


class AsteriskSettings(ProviderSettings):
    """The credentials of Asterisk's handshakes."""

    asterisk_user: User = "kanjo"
    asterisk_password: Secret | None = Field(None, description="HTTP Basic: password")


def create_bridge(
    settings: AsteriskSettings, options: BridgeOptions, handshake: Handshake
) -> AsteriskBridge:
    """Returns the bridge of one connection, with call id and side of its query, if any."""
    query = handshake.query
    return AsteriskBridge(
        options.analysed_tracks,
        tracks={**TRACKS, "in": options.leg, "out": options.other_leg},
        call_id_hint=query.get("callId"),
        side_hint=query.get("side"),
        max_frame_bytes=options.max_frame_bytes,
    )


def create_authenticator(settings: AsteriskSettings) -> Authenticator | None:
    """Returns an authenticator of the password if it is set."""
    return basic_authenticator(settings.asterisk_user, settings.asterisk_password)


ASTERISK = Provider(
    name="asterisk",
    settings=AsteriskSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=AsteriskClient,
    either_leg=True,
    documentation=Documentation(
        title="Asterisk",
        transport="binary",
        voices="one a socket",
        encodings="mu-law, A-law, L16",
        replies="nothing",
        credentials="HTTP Basic",
    ),
)
