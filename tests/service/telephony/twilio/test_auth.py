import pytest

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.public_url import spellings
from service.telephony.twilio.auth import SETTINGS, SIGNATURE, TwilioAuthenticator, sign

URL = "wss://mon.example.com/v1/bridges/twilio"
KNOWN = "yzhRAwS8aynr7n+U7uWmPtyFPHw="  # of twilio-python's RequestValidator("12345") for URL


def handshake_with(signature: str | None, settings: str | None = None) -> Handshake:
    headers = {SIGNATURE: signature, SETTINGS: settings, "host": "10.0.0.7:8080"}
    return Handshake("/calls/twilio", {k: v for k, v in headers.items() if v is not None})


def reason(authenticator: TwilioAuthenticator, handshake: Handshake) -> str:
    with pytest.raises(Unauthorized) as caught:
        authenticator.check(handshake, 0.0)
    assert "12345" not in str(caught.value)
    return caught.value.reason


def test_a_signature_is_the_one_that_twilios_own_library_makes() -> None:
    assert sign("12345", URL) == KNOWN


def test_a_signature_of_the_configured_address_is_accepted_behind_any_proxy() -> None:
    TwilioAuthenticator(URL, "12345").check(handshake_with(KNOWN), 0.0)


@pytest.mark.parametrize(
    "spelling",
    [
        URL,
        f"{URL}/",
        "wss://mon.example.com:443/v1/bridges/twilio",
        "wss://mon.example.com:443/v1/bridges/twilio/",
    ],
)
def test_however_the_address_is_spelt_on_either_side(spelling: str) -> None:
    for configured in spellings(URL):
        TwilioAuthenticator(configured, "12345").check(handshake_with(sign("12345", spelling)), 0.0)


@pytest.mark.parametrize(
    "address",
    [
        "wss://mon.example.com/v1/bridges/twilio2",
        "wss://mon.example.com:8443/v1/bridges/twilio",
        "https://mon.example.com/v1/bridges/twilio",
        "wss://other.example.com/v1/bridges/twilio",
    ],
)
def test_a_signature_of_another_address_is_rejected(address: str) -> None:
    assert (
        reason(TwilioAuthenticator(URL, "12345"), handshake_with(sign("12345", address)))
        == "wrong_signature"
    )


def test_a_port_of_its_own_is_part_of_the_address() -> None:
    url = "wss://mon.example.com:8443/x"
    TwilioAuthenticator(url, "12345").check(handshake_with(sign("12345", url)), 0.0)
    without = sign("12345", "wss://mon.example.com/x")
    assert reason(TwilioAuthenticator(url, "12345"), handshake_with(without)) == "wrong_signature"


@pytest.mark.parametrize("signature", [KNOWN[:-1], KNOWN.lower(), "x", "é", "\udcff", KNOWN + " "])
def test_a_wrong_signature_is_rejected(signature: str) -> None:
    assert reason(TwilioAuthenticator(URL, "12345"), handshake_with(signature)) == "wrong_signature"


def test_no_signature_is_missing() -> None:
    for signature in (None, ""):
        assert reason(TwilioAuthenticator(URL, "12345"), handshake_with(signature)) == "missing"


def test_a_shared_key_signs_with_sha_256() -> None:
    authenticator = TwilioAuthenticator(URL, "12345", {"first": "s1", "second": "s2"})
    settings = "key=second, algorithm=HMAC_SHA256"
    authenticator.check(handshake_with(sign("s2", URL, "HMAC_SHA256"), settings), 0.0)
    assert (
        reason(authenticator, handshake_with(sign("s1", URL, "HMAC_SHA256"), settings))
        == "wrong_signature"
    )
    assert reason(authenticator, handshake_with(sign("s2", URL), settings)) == "wrong_signature"
    authenticator.check(handshake_with(KNOWN), 0.0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("key=third,algorithm=HMAC_SHA256", "wrong_key"),
        ("key=first", "malformed"),
        ("algorithm=HMAC_SHA256", "malformed"),
        ("key=first,algorithm=none", "malformed"),
        ("", "malformed"),
        (",,==", "malformed"),
    ],
)
def test_settings_with_an_unknown_key_are_rejected(settings: str, expected: str) -> None:
    authenticator = TwilioAuthenticator(URL, "12345", {"first": "s1"})
    assert (
        reason(authenticator, handshake_with(sign("s1", URL, "HMAC_SHA256"), settings)) == expected
    )


def test_without_an_auth_token_only_shared_keys_are_accepted() -> None:
    authenticator = TwilioAuthenticator(URL, None, {"first": "s1"})
    assert reason(authenticator, handshake_with(KNOWN)) == "wrong_key"
