import pytest
from pydantic import Field, ValidationError

from service.telephony.shared.settings import (
    ProviderSettings,
    PublicUrl,
    Secret,
    Secrets,
    SigningSecret,
    pairs,
)


class Example(ProviderSettings):
    x_url: PublicUrl | None = Field(None)
    x_auth_token: SigningSecret | None = Field(None)
    x_token: Secret | None = Field(None)
    x_keys: Secrets | None = Field(None)


def test_a_signing_secret_needs_the_public_url_of_its_provider() -> None:
    assert Example(x_url="wss://x", x_auth_token="t" * 16).x_auth_token is not None
    with pytest.raises(ValidationError, match="got no x_url, expected the public address"):
        Example(x_auth_token="t" * 16)


def test_a_secret_is_not_empty() -> None:
    for field in ("x_token", "x_auth_token"):
        with pytest.raises(ValidationError, match="got nothing, expected a secret"):
            Example.model_validate({"x_url": "wss://x", field: ""})


def test_a_secret_that_can_be_guessed_is_refused_and_not_shown() -> None:
    for field, weak in [("x_token", "sesame"), ("x_auth_token", "s" * 15), ("x_keys", "a:sesame")]:
        with pytest.raises(
            ValidationError, match="characters, expected at least 16 at random"
        ) as it:
            Example.model_validate({"x_url": "wss://x", field: weak})
        assert weak not in it.value.errors()[0]["msg"]
    Example.model_validate({"x_token": "s" * 16, "x_keys": f"a:{'s' * 16},b:"})


def test_pairs_have_names_that_are_there_once() -> None:
    assert pairs("a:1, b:2:3,c:") == {"a": "1", "b": "2:3", "c": ""}
    for text in ("", "a", ":1", "a:1,a:2", "a:1,"):
        with pytest.raises(ValueError, match="expected `name:secret,name:secret`"):
            pairs(text)
