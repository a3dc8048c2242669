"""Twilio's settings, and its row in the table of providers."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.no_credentials import CheckedAtStart
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import (
    ProviderSettings,
    PublicUrl,
    Secret,
    SigningSecret,
    SigningSecrets,
    pairs,
)
from service.telephony.twilio.auth import TwilioAuthenticator
from service.telephony.twilio.bridge import TwilioBridge
from service.telephony.twilio.client import TwilioClient


def _complete(keys: SecretStr) -> SecretStr:
    if not all(pairs(keys.get_secret_value()).values()):
        raise ValueError("got a key without a secret, expected one with each")
    return keys


class TwilioSettings(ProviderSettings):
    """What signs Twilio's handshakes, and the token in its start messages."""

    twilio_url: PublicUrl | None = Field(
        None, description="public address of `/calls/twilio`, as the TwiML has it: it is signed"
    )
    twilio_auth_token: SigningSecret | None = Field(
        None, description="what signs it: the account's auth token"
    )
    twilio_shared_keys: Annotated[SigningSecrets, AfterValidator(_complete)] | None = Field(
        None, description="or SharedKeys, `name:secret,name:secret`"
    )
    twilio_token: Secret | None = Field(None, description="what the parameter `token` must be")

    @property
    def twilio_secrets(self) -> dict[str, str]:
        """The shared keys' secrets by their names."""
        keys = self.twilio_shared_keys
        return {} if keys is None else pairs(keys.get_secret_value())


def create_bridge(
    settings: TwilioSettings, options: BridgeOptions, handshake: Handshake
) -> TwilioBridge:
    """Returns the bridge of one connection."""
    token = settings.twilio_token
    return TwilioBridge(
        options.analysed_tracks,
        options.directions,
        token.get_secret_value() if token else None,
    )


def create_authenticator(settings: TwilioSettings) -> Authenticator | None:
    """Returns an authenticator if there is a secret, for signatures or for the start message."""
    token, shared_keys = settings.twilio_auth_token, settings.twilio_secrets
    if settings.twilio_url is None or not (token or shared_keys):
        return CheckedAtStart() if settings.twilio_token else None
    return TwilioAuthenticator(
        settings.twilio_url, token.get_secret_value() if token else None, shared_keys
    )


TWILIO = Provider(
    name="twilio",
    settings=TwilioSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=TwilioClient,
    either_leg=True,
    documentation=Documentation(
        title="Twilio",
        transport="JSON",
        voices="both",
        encodings="mu-law",
        replies="nothing",
        credentials="signed address, token",
    ),
)
