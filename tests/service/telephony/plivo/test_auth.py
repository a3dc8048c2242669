import pytest

from service.telephony.plivo.auth import NONCE, SIGNATURE, PlivoAuthenticator, sign
from service.telephony.shared.authenticator import Handshake, Unauthorized

URL = "wss://mon.example.com/calls/plivo"
HTTPS = "https://mon.example.com/calls/plivo"


def shake(nonce: str | None, signature: str | None) -> Handshake:
    headers = {SIGNATURE: signature, NONCE: nonce}
    return Handshake("/calls/plivo", {k: v for k, v in headers.items() if v is not None})


def signed(nonce: str, url: str = HTTPS, token: str = "12345") -> Handshake:
    return shake(nonce, sign(token, url, nonce))


def reason(door: PlivoAuthenticator, handshake: Handshake) -> str:
    with pytest.raises(Unauthorized) as caught:
        door.check(handshake, 0.0)
    return caught.value.reason


def test_a_signature_is_the_one_that_openssl_makes() -> None:
    # hmac-sha256("12345", "https://mon.example.com/calls/plivo.abc")
    assert sign("12345", HTTPS, "abc") == "EfhAlBkEF5WBqZlW3FVSriVwfNBjJTI6D645zK16xVQ="


@pytest.mark.parametrize(
    "url", [HTTPS, URL, f"{HTTPS}/", "https://mon.example.com:443/calls/plivo"]
)
def test_who_signs_the_address_is_let_in_once(url: str) -> None:
    door = PlivoAuthenticator(URL, "12345")
    door.check(signed("n1", url), 0.0)
    door.check(signed("n2", url), 0.0)
    assert reason(door, signed("n1", url)) == "replayed"


def test_one_of_several_signatures_is_enough() -> None:
    header = f"{sign('old', HTTPS, 'n1')}, {sign('12345', HTTPS, 'n1')}"
    PlivoAuthenticator(URL, "12345").check(shake("n1", header), 0.0)


def test_what_does_not_fit_is_refused_and_its_nonce_not_remembered() -> None:
    door = PlivoAuthenticator(URL, "12345")
    assert reason(door, shake(None, "x")) == "missing"
    assert reason(door, shake("n1", None)) == "missing"
    assert reason(door, shake("n" * 129, "x")) == "malformed"
    assert reason(door, shake("n1", "x," * 99)) == "malformed"
    assert reason(door, shake("n1", "\udcff")) == "wrong_signature"
    assert reason(door, signed("n1", token="wrong")) == "wrong_signature"
    assert reason(door, signed("n1", f"{HTTPS}2")) == "wrong_signature"
    assert reason(door, shake("n1", sign("12345", HTTPS, "n2"))) == "wrong_signature"
    door.check(signed("n1"), 0.0)


def test_the_memory_of_nonces_is_bounded_and_the_oldest_goes_first() -> None:
    door = PlivoAuthenticator(URL, "12345", max_nonces=3)
    for nonce in ("n1", "n2", "n3", "n4"):
        door.check(signed(nonce), 0.0)
    assert len(door._nonces) == 3
    assert reason(door, signed("n2")) == "replayed"
    door.check(signed("n1"), 0.0)
