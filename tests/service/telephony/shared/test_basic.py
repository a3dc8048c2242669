from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.basic import BasicAuthenticator

AUTHENTICATOR = BasicAuthenticator({"freeswitch": "s3cret:with:colons", "asterisk": "pässword"})


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def reason(authorization: str | None) -> str | None:
    """Returns the reason of the rejection, or None if the client is accepted."""
    headers = {} if authorization is None else {"authorization": authorization}
    try:
        AUTHENTICATOR.check(Handshake("/calls/freeswitch", headers), 0.0)
    except Unauthorized as unauthorized:
        return unauthorized.reason
    return None


@pytest.mark.parametrize(
    "authorization",
    [
        basic("freeswitch", "s3cret:with:colons"),
        basic("asterisk", "pässword"),
        basic("asterisk", "pässword").replace("Basic ", "basic  "),
        # RFC 7617 section 2: the example's form, made by hand.
        "Basic ZnJlZXN3aXRjaDpzM2NyZXQ6d2l0aDpjb2xvbnM=",
    ],
)
def test_a_client_with_a_users_password_is_accepted(authorization: str) -> None:
    assert reason(authorization) is None


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, "missing"),
        ("", "malformed"),
        ("Basic", "malformed"),
        ("Basic !!!", "malformed"),
        ("Basic ü", "malformed"),
        ("Basic bm9jb2xvbg==", "malformed"),
        ("Bearer " + basic("freeswitch", "s3cret:with:colons")[6:], "malformed"),
        (f"{basic('a', 'b')}, {basic('a', 'b')}", "malformed"),
        (basic("freeswitch", "s3cret"), "wrong_password"),
        (basic("freeswitch", ""), "wrong_password"),
        (basic("", ""), "wrong_password"),
        (basic("asterisk", "s3cret:with:colons"), "wrong_password"),
        (basic("freeswitch:s3cret", "with:colon"), "wrong_password"),
        (basic("nobody", "pässword"), "wrong_password"),
    ],
)
def test_all_others_are_rejected_with_a_reason(authorization: str | None, expected: str) -> None:
    assert reason(authorization) == expected


def test_a_rejection_shows_no_secret() -> None:
    with pytest.raises(Unauthorized) as caught:
        AUTHENTICATOR.check(Handshake("/", {"authorization": basic("freeswitch", "guess")}), 0.0)
    text = str(caught.value) + repr(caught.value)
    assert "guess" not in text
    assert "s3cret" not in text
    assert caught.value.__cause__ is None


def test_an_authenticator_without_users_rejects_everybody() -> None:
    with pytest.raises(Unauthorized):
        BasicAuthenticator({}).check(Handshake("/", {"authorization": basic("", "")}), 0.0)


@pytest.mark.parametrize("passwords", [{"": "p"}, {"u": ""}, {"a:b": "p"}])
def test_impossible_credentials_are_refused(passwords: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="none of them empty"):
        BasicAuthenticator(passwords)


@given(st.text(st.characters()) | st.builds("Basic {}".format, st.text(st.characters())))
def test_any_input_is_rejected_with_a_reason(authorization: str) -> None:
    assert reason(authorization) in ("malformed", "wrong_password")
