"""jambonz' settings, and its row in the table of providers."""

from pydantic import Field

from service.telephony.jambonz.bridge import JambonzBridge
from service.telephony.jambonz.client import JambonzClient
from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.basic import basic_authenticator
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, Secret, User


class JambonzSettings(ProviderSettings):
    """The credentials of jambonz' handshakes."""

    jambonz_user: User = "kanjo"
    jambonz_password: Secret | None = Field(None, description="HTTP Basic: password")


def create_bridge(
    settings: JambonzSettings, options: BridgeOptions, handshake: Handshake
) -> JambonzBridge:
    """Returns the bridge of one connection."""
    return JambonzBridge(
        options.analysed_tracks,
        channels=(options.leg, options.other_leg),
        mono=options.leg,
        analyse_mix=options.analyse_mix,
        max_frame_bytes=options.max_frame_bytes,
    )


def create_authenticator(settings: JambonzSettings) -> Authenticator | None:
    """Returns an authenticator of the password if it is set."""
    return basic_authenticator(settings.jambonz_user, settings.jambonz_password)


JAMBONZ = Provider(
    name="jambonz",
    settings=JambonzSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=JambonzClient,
    either_leg=True,
    facts={"caller_number": "from", "called_number": "to"},
    documentation=Documentation(
        title="jambonz",
        transport="binary",
        voices="both",
        encodings="L16",
        replies="nothing",
        credentials="HTTP Basic",
    ),
)
