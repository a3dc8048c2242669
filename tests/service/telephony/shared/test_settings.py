import pytest
from pydantic import Field, ValidationError

from service.telephony.shared.settings import (
    ProviderSettings,
    PublicUrl,
    Secret,
    SigningSecret,
    pairs,
)


class Example(ProviderSettings):
    x_url: PublicUrl | None = Field(None)
    x_auth_token: SigningSecret | None = Field(None)
    x_token: Secret | None = Field(None)


def test_a_signing_secret_needs_the_public_url_of_its_provider() -> None:
    assert Example(x_url="wss://x", x_auth_token="t").x_auth_token is not None
    with pytest.raises(ValidationError, match="got no x_url, expected the public address"):
        Example(x_auth_token="t")


def test_a_secret_is_not_empty() -> None:
    for field in ("x_token", "x_auth_token"):
        with pytest.raises(ValidationError, match="got nothing, expected a secret"):
            Example.model_validate({"x_url": "wss://x", field: ""})


def test_pairs_have_names_that_are_there_once() -> None:
    assert pairs("a:1, b:2:3,c:") == {"a": "1", "b": "2:3", "c": ""}
    for text in ("", "a", ":1", "a:1,a:2", "a:1,"):
        with pytest.raises(ValueError, match="expected `name:secret,name:secret`"):
            pairs(text)
