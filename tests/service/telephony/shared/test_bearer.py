import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.bearer import BearerAuthenticator

TOKENS = ("present-token", "token+of/2026==")


def reason(authorization: str | None, target: str = "/calls/native", query: bool = False) -> str:
    """Returns the reason of the rejection, or an empty text if the client is accepted."""
    headers = {} if authorization is None else {"authorization": authorization}
    try:
        BearerAuthenticator(TOKENS, query=query).check(Handshake(target, headers), 0.0)
    except Unauthorized as unauthorized:
        return unauthorized.reason
    return ""


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_client_with_a_token_is_accepted(token: str, scheme: str) -> None:
    assert reason(f"{scheme} {token}") == ""


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, "missing"),
        ("", "malformed"),
        ("Bearer", "malformed"),
        ("Bearer  ", "malformed"),
        ("Basic present-token", "malformed"),
        ("present-token", "malformed"),
        ("Bearer present-toke", "wrong_key"),
        ("Bearer present-token, Bearer present-token", "wrong_key"),
        ("Bearer PRESENT-TOKEN", "wrong_key"),
    ],
)
@pytest.mark.parametrize("query", [False, True])
def test_all_others_are_rejected_with_a_reason(
    authorization: str | None, expected: str, query: bool
) -> None:
    assert reason(authorization, query=query) == expected


@pytest.mark.parametrize(
    "target", ["/c?token=present-token", "/c?a=1&token=token%2Bof%2F2026%3D%3D"]
)
def test_a_token_in_the_query_passes_only_where_it_may(target: str) -> None:
    assert reason(None, target, query=True) == ""
    assert reason(None, target, query=False) == "missing"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/c", "missing"),
        ("/c?token=", "missing"),
        ("/c?Token=present-token", "missing"),
        ("/c?token=other", "wrong_key"),
        ("/c?token=present-token&token=other", "malformed"),
        ("/c?" + "a=1&" * 70 + "token=present-token", "malformed"),
        ("//[?token=present-token", "malformed"),
    ],
)
def test_a_wrong_query_is_rejected_with_a_reason(target: str, expected: str) -> None:
    assert reason(None, target, query=True) == expected


def test_a_header_counts_before_the_query() -> None:
    assert reason("Bearer other", "/c?token=present-token", query=True) == "wrong_key"


def test_a_rejection_shows_no_secret() -> None:
    with pytest.raises(Unauthorized) as caught:
        BearerAuthenticator(TOKENS).check(Handshake("/", {"authorization": "Bearer guess"}), 0.0)
    text = str(caught.value) + repr(caught.value)
    assert not any(secret in text for secret in ("guess", *TOKENS))


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="empty token"):
        BearerAuthenticator(["a", ""])


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_input_is_rejected_with_a_reason(authorization: str, target: str) -> None:
    assert reason(authorization, target, query=True) in ("malformed", "wrong_key")
    assert reason(None, target, query=True) in ("malformed", "wrong_key", "missing")
