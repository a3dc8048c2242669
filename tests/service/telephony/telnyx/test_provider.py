import pytest
from pydantic import SecretStr

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.telnyx.provider import TelnyxSettings, create_authenticator

HEADER = "x-telnyx-streaming-auth-token"


def reason(headers: dict[str, str]) -> str:
    """Returns the reason of the rejection, or an empty text if the client is accepted."""
    authenticator = create_authenticator(TelnyxSettings(telnyx_token=SecretStr("s3cret")))
    assert authenticator
    try:
        authenticator.check(Handshake("/calls/telnyx", headers), 0.0)
    except Unauthorized as unauthorized:
        return unauthorized.reason
    return ""


def test_the_token_is_accepted_where_telnyx_puts_it() -> None:
    assert reason({HEADER: "s3cret"}) == ""
    assert reason({"authorization": "Bearer s3cret"}) == ""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "missing"),
        ({HEADER: " "}, "malformed"),
        ({HEADER: "other"}, "wrong_key"),
        ({HEADER: "s3cret, s3cret"}, "wrong_key"),
        ({HEADER: "other", "authorization": "Bearer s3cret"}, "wrong_key"),
    ],
)
def test_all_others_are_rejected_with_a_reason(headers: dict[str, str], expected: str) -> None:
    assert reason(headers) == expected
