"""Telnyx' settings, and its row in the table of providers."""

from typing import Literal

from pydantic import Field

from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.bearer import bearer_authenticator
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, Secret
from service.telephony.telnyx.bridge import TelnyxBridge
from service.telephony.telnyx.client import TOKEN_HEADER, TelnyxClient


class TelnyxSettings(ProviderSettings):
    """The token of Telnyx' handshakes, and what its documentation does not specify."""

    telnyx_token: Secret | None = Field(None, description="`stream_auth_token`")
    telnyx_l16_order: Literal["little", "big"] = Field(
        "little", description="byte order of L16: `little` or `big`"
    )


def create_bridge(
    settings: TelnyxSettings, options: BridgeOptions, handshake: Handshake
) -> TelnyxBridge:
    """Returns the bridge of one connection."""
    return TelnyxBridge(
        options.analysed_tracks,
        options.directions,
        big_endian=settings.telnyx_l16_order == "big",
    )


def create_authenticator(settings: TelnyxSettings) -> Authenticator | None:
    """Returns an authenticator of the token if it is set."""
    return bearer_authenticator(settings.telnyx_token, TOKEN_HEADER)


TELNYX = Provider(
    name="telnyx",
    settings=TelnyxSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=TelnyxClient,
    either_leg=True,
    facts={"caller_number": "from", "called_number": "to"},
    documentation=Documentation(
        title="Telnyx",
        transport="JSON",
        voices="both",
        encodings="mu-law, A-law, L16",
        replies="nothing",
        credentials="bearer token",
    ),
)
