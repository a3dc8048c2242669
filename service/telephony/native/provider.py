"""The settings of Kanjo's own protocol, and its row in the table of providers."""

from pydantic import Field

from service.telephony.native.bridge import NativeBridge
from service.telephony.native.client import NativeClient
from service.telephony.native.messages import ErrorCode
from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.bearer import bearer_authenticator
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, Secret


class NativeSettings(ProviderSettings):
    """The token of handshakes."""

    native_token: Secret | None = Field(None, description="`Authorization: Bearer`")


def create_bridge(
    settings: NativeSettings, options: BridgeOptions, handshake: Handshake
) -> NativeBridge:
    """Returns the bridge of one connection."""
    return NativeBridge(options.analysed_tracks, options.max_frame_bytes)


def create_authenticator(settings: NativeSettings) -> Authenticator | None:
    """Returns an authenticator of the token if it is set."""
    return bearer_authenticator(settings.native_token)


NATIVE = Provider(
    name="native",
    settings=NativeSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    problems=ErrorCode,
    client=NativeClient,
    documentation=Documentation(
        title="Kanjo's own",
        transport="JSON, binary",
        voices="one or both",
        encodings="mu-law, A-law, L16",
        replies="readings, alerts",
        credentials="bearer token",
        page="../../README.md#connecting",
    ),
)
