"""The types of which providers' settings are made.

What they refuse they do not show in their errors: it may be a secret all the same.
"""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo

LEAST_CHARS = 16  # of a secret: fewer can be guessed


class ProviderSettings(BaseModel):
    """The settings of one provider, which become fields of the service's settings.

    Field names begin with the provider's name: `twilio_url` is read from KANJO_TWILIO_URL.
    """

    model_config = ConfigDict(frozen=True)


def pairs(text: str) -> dict[str, str]:
    """Returns secrets by name, from `name:secret,name:secret`.

    Raises:
        ValueError: the text has another form, or a name comes twice.
    """
    parts = [part.strip().partition(":") for part in text.split(",")]
    secrets = {name: secret for name, _, secret in parts}
    if len(secrets) < len(parts) or not all(name and colon for name, colon, _ in parts):
        raise ValueError("got something else, expected `name:secret,name:secret`, each name once")
    return secrets


def _strong(secret: SecretStr) -> SecretStr:
    size = len(secret.get_secret_value())
    if not size:
        raise ValueError("got nothing, expected a secret, or no such variable at all")
    if size < LEAST_CHARS:
        raise ValueError(
            f"got a secret of {size} characters, expected at least {LEAST_CHARS} at random, such "
            "as `openssl rand -hex 16` prints"
        )
    return secret


def _each_strong(secrets: SecretStr) -> SecretStr:
    for secret in pairs(secrets.get_secret_value()).values():
        if secret:  # whether a name may have none is decided by the provider
            _strong(SecretStr(secret))
    return secrets


def _websocket_url(url: str) -> str:
    expected = "expected wss://HOST[:PORT][/PATH], without ? and #"
    if not re.fullmatch(r"wss?://[^?#]+", url):
        raise ValueError(f"got another address, {expected}")
    try:
        parts = urlsplit(url)
        named = parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        named = False
    if not named:
        raise ValueError(f"got a host or port that can't be one, {expected}")
    return url


def _goes_with_url(secret: SecretStr, info: ValidationInfo) -> SecretStr:
    assert info.field_name
    url = f"{info.field_name.partition('_')[0]}_url"
    if info.data.get(url, "") is None:
        raise ValueError(f"got no {url}, expected the public address that is signed")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_strong)]
Secrets = Annotated[SecretStr, AfterValidator(_each_strong)]  # `name:secret,name:secret`
# A secret that signs the public address, which must come before it: `x_url`.
SigningSecret = Annotated[Secret, AfterValidator(_goes_with_url)]
SigningSecrets = Annotated[Secrets, AfterValidator(_goes_with_url)]
User = Annotated[str, Field(min_length=1, pattern="^[^:]+$", description="HTTP Basic: user")]
PublicUrl = Annotated[str, AfterValidator(_websocket_url)]
