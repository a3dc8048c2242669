import pytest

from service.telephony.plivo.auth import NONCE, SIGNATURE, PlivoAuthenticator, sign
from service.telephony.shared.authenticator import Handshake, Unauthorized

URL = "wss://mon.example.com/calls/plivo"
HTTPS = "https://mon.example.com/calls/plivo"


def handshake_with(nonce: str | None, signature: str | None) -> Handshake:
    headers = {SIGNATURE: signature, NONCE: nonce}
    return Handshake("/calls/plivo", {k: v for k, v in headers.items() if v is not None})


def signed(nonce: str, url: str = HTTPS, token: str = "12345") -> Handshake:
    return handshake_with(nonce, sign(token, url, nonce))


def reason(authenticator: PlivoAuthenticator, handshake: Handshake) -> str:
    with pytest.raises(Unauthorized) as caught:
        authenticator.check(handshake, 0.0)
    return caught.value.reason


def test_a_signature_is_the_one_that_openssl_makes() -> None:
    # hmac-sha256("12345", "https://mon.example.com/calls/plivo.abc")
    assert sign("12345", HTTPS, "abc") == "EfhAlBkEF5WBqZlW3FVSriVwfNBjJTI6D645zK16xVQ="


@pytest.mark.parametrize(
    "url", [HTTPS, URL, f"{HTTPS}/", "https://mon.example.com:443/calls/plivo"]
)
def test_a_signature_of_the_address_is_accepted_once(url: str) -> None:
    authenticator = PlivoAuthenticator(URL, "12345")
    authenticator.check(signed("n1", url), 0.0)
    authenticator.check(signed("n2", url), 0.0)
    assert reason(authenticator, signed("n1", url)) == "replayed"


def test_one_of_several_signatures_is_enough() -> None:
    header = f"{sign('old', HTTPS, 'n1')}, {sign('12345', HTTPS, 'n1')}"
    PlivoAuthenticator(URL, "12345").check(handshake_with("n1", header), 0.0)


def test_a_wrong_signature_is_rejected_and_its_nonce_not_stored() -> None:
    authenticator = PlivoAuthenticator(URL, "12345")
    assert reason(authenticator, handshake_with(None, "x")) == "missing"
    assert reason(authenticator, handshake_with("n1", None)) == "missing"
    assert reason(authenticator, handshake_with("n" * 129, "x")) == "malformed"
    assert reason(authenticator, handshake_with("n1", "x," * 99)) == "malformed"
    assert reason(authenticator, handshake_with("n1", "\udcff")) == "wrong_signature"
    assert reason(authenticator, signed("n1", token="wrong")) == "wrong_signature"
    assert reason(authenticator, signed("n1", f"{HTTPS}2")) == "wrong_signature"
    assert (
        reason(authenticator, handshake_with("n1", sign("12345", HTTPS, "n2"))) == "wrong_signature"
    )
    authenticator.check(signed("n1"), 0.0)


def test_stored_nonces_are_bounded_and_the_oldest_is_dropped_first() -> None:
    authenticator = PlivoAuthenticator(URL, "12345", max_nonces=3)
    for nonce in ("n1", "n2", "n3", "n4"):
        authenticator.check(signed(nonce), 0.0)
    for nonce in ("n2", "n3", "n4"):
        assert reason(authenticator, signed(nonce)) == "replayed"
    authenticator.check(signed("n1"), 0.0)
