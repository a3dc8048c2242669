from typing import Any

import pytest

from service.api.authenticators import authenticators
from service.api.telephony import BRIDGES
from service.settings import Settings
from service.telephony.audiohook.auth import AudioHookAuthenticator
from service.telephony.plivo.auth import PlivoAuthenticator
from service.telephony.shared.basic import BasicAuthenticator
from service.telephony.shared.bearer import BearerAuthenticator
from service.telephony.shared.no_credentials import AcceptAll, RejectAll
from service.telephony.twilio.auth import TwilioAuthenticator

PUBLIC = "0.0.0.0"

KEYED: dict[str, tuple[type, dict[str, Any]]] = {
    "asterisk": (BasicAuthenticator, {"asterisk_password": "p"}),
    "audiohook": (AudioHookAuthenticator, {"audiohook_keys": "k:"}),
    "exotel": (BasicAuthenticator, {"exotel_password": "p"}),
    "freeswitch": (BasicAuthenticator, {"freeswitch_password": "p"}),
    "jambonz": (BasicAuthenticator, {"jambonz_password": "p"}),
    "native": (BearerAuthenticator, {"native_token": "t"}),
    "plivo": (PlivoAuthenticator, {"plivo_url": "wss://x/calls/plivo", "plivo_auth_token": "a"}),
    "telnyx": (BearerAuthenticator, {"telnyx_token": "t"}),
    "twilio": (
        TwilioAuthenticator,
        {"twilio_url": "wss://x/calls/twilio", "twilio_auth_token": "a"},
    ),
    "vonage": (BearerAuthenticator, {"vonage_token": "t"}),
}


def kinds(**settings: Any) -> dict[str, type]:
    return {name: type(door) for name, door in authenticators(Settings(**settings)).items()}


def test_every_dialect_has_a_door() -> None:
    assert set(authenticators(Settings())) == set(BRIDGES) == set(KEYED)


@pytest.mark.parametrize("bridge", KEYED)
def test_a_bridge_with_credentials_asks_for_them_and_the_others_stay_as_they_are(
    bridge: str,
) -> None:
    door, settings = KEYED[bridge]
    for host, others in (("127.0.0.1", AcceptAll), ("::1", AcceptAll), (PUBLIC, RejectAll)):
        assert kinds(host=host, **settings) == dict.fromkeys(KEYED, others) | {bridge: door}


def test_without_any_credentials_the_service_hides_on_loopback_and_is_open_there() -> None:
    assert Settings(host=PUBLIC).listens_at == "127.0.0.1"
    assert set(kinds(host=PUBLIC).values()) == {AcceptAll}


def test_on_a_trusted_network_bridges_without_credentials_are_open() -> None:
    found = kinds(host=PUBLIC, trust_network=True, native_token="t")
    assert found == dict.fromkeys(KEYED, AcceptAll) | {"native": BearerAuthenticator}


def test_twilio_may_rely_on_shared_keys_or_on_the_streams_token_alone() -> None:
    shared = {"twilio_url": "wss://x/calls/twilio", "twilio_shared_keys": "SK1:s"}
    assert kinds(host=PUBLIC, **shared)["twilio"] is TwilioAuthenticator
    assert kinds(host=PUBLIC, twilio_token="t")["twilio"] is AcceptAll
    assert kinds(host=PUBLIC, twilio_url="wss://x", native_token="t")["twilio"] is RejectAll
