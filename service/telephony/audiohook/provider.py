"""AudioHook's settings, and its row in the table of providers."""

from base64 import b64decode
from binascii import Error
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from service.telephony.audiohook.auth import AudioHookAuthenticator
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.audiohook.client import AudioHookClient
from service.telephony.audiohook.messages import SessionErrorCode
from service.telephony.shared.authenticator import Authenticator, Handshake, Unauthorized
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, Secrets, pairs


def _in_base64(keys: SecretStr) -> SecretStr:
    for secret in pairs(keys.get_secret_value()).values():
        try:
            b64decode(secret, validate=True)
        except Error:
            raise ValueError("got a client secret that is not base64, expected one") from None
    return keys


class AudioHookSettings(ProviderSettings):
    """The keys and client secrets of AudioHook's handshakes."""

    audiohook_keys: Annotated[Secrets, AfterValidator(_in_base64)] | None = Field(
        None,
        description="AudioHook's API keys with their client secrets in base64, "
        "`key:secret,key:secret`; a key may have none, `key:`",
    )

    @property
    def audiohook_secrets(self) -> dict[str, bytes | None]:
        """The client secrets by API key; None where a key has no secret."""
        if self.audiohook_keys is None:
            return {}
        secrets = pairs(self.audiohook_keys.get_secret_value())
        return {key: b64decode(secret) or None for key, secret in secrets.items()}


def create_bridge(
    settings: AudioHookSettings, options: BridgeOptions, handshake: Handshake
) -> AudioHookBridge:
    """Returns the bridge of one connection, for the session that its headers name.

    Raises:
        Unauthorized: the header with the session's id is missing.
    """
    session_id = handshake.headers.get("audiohook-session-id")
    if not session_id:
        raise Unauthorized("missing")
    organization_id = handshake.headers.get("audiohook-organization-id")
    return AudioHookBridge(session_id, organization_id, analysed_tracks=options.analysed_tracks)


def create_authenticator(settings: AudioHookSettings) -> Authenticator | None:
    """Returns an authenticator of signatures if there are keys."""
    secrets = settings.audiohook_secrets
    return AudioHookAuthenticator(secrets) if secrets else None


AUDIOHOOK = Provider(
    name="audiohook",
    settings=AudioHookSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    problems=SessionErrorCode,
    client=AudioHookClient,
    facts={"caller_number": "ani", "called_number": "dnis", "language": "language"},
    documentation=Documentation(
        title="Genesys AudioHook",
        transport="JSON, binary",
        voices="both",
        encodings="mu-law, L16",
        replies="alerts, summaries",
        credentials="signed handshake",
    ),
)
