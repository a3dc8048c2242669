from typing import Any

import pytest

from service.settings import Settings
from service.telephony.audiohook.auth import AudioHookAuthenticator
from service.telephony.plivo.auth import PlivoAuthenticator
from service.telephony.providers import PROVIDERS, authenticators, legs
from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.basic import BasicAuthenticator
from service.telephony.shared.bearer import BearerAuthenticator
from service.telephony.shared.no_credentials import AcceptAll, CheckedAtStart, RejectAll
from service.telephony.shared.provider import BridgeOptions
from service.telephony.twilio.auth import TwilioAuthenticator

PUBLIC = "0.0.0.0"

SECRET = "a secret of this test"
KEYED: dict[str, tuple[type, dict[str, Any]]] = {
    "asterisk": (BasicAuthenticator, {"asterisk_password": SECRET}),
    "audiohook": (AudioHookAuthenticator, {"audiohook_keys": "k:"}),
    "exotel": (BasicAuthenticator, {"exotel_password": SECRET}),
    "freeswitch": (BasicAuthenticator, {"freeswitch_password": SECRET}),
    "jambonz": (BasicAuthenticator, {"jambonz_password": SECRET}),
    "native": (BearerAuthenticator, {"native_token": SECRET}),
    "plivo": (PlivoAuthenticator, {"plivo_url": "wss://x/calls/plivo", "plivo_auth_token": SECRET}),
    "telnyx": (BearerAuthenticator, {"telnyx_token": SECRET}),
    "twilio": (
        TwilioAuthenticator,
        {"twilio_url": "wss://x/calls/twilio", "twilio_auth_token": SECRET},
    ),
    "vonage": (BearerAuthenticator, {"vonage_token": SECRET}),
}


def kinds(**fields: Any) -> dict[str, type]:
    settings = Settings(**fields)
    trusted = settings.trusts(settings.listens_at)
    return {name: type(one) for name, one in authenticators(settings, trusted=trusted).items()}


def test_every_provider_has_an_authenticator() -> None:
    assert set(authenticators(Settings(), trusted=True)) == set(PROVIDERS) == set(KEYED)


@pytest.mark.parametrize("bridge", KEYED)
def test_a_bridge_with_credentials_checks_them_and_the_others_stay_as_they_are(
    bridge: str,
) -> None:
    authenticator, settings = KEYED[bridge]
    for host, others in (("127.0.0.1", AcceptAll), ("::1", AcceptAll), (PUBLIC, RejectAll)):
        expected = dict.fromkeys(KEYED, others) | {bridge: authenticator}
        assert kinds(host=host, **settings) == expected


def test_without_any_credentials_the_service_stays_on_loopback_and_is_open_there() -> None:
    assert Settings(host=PUBLIC).listens_at == "127.0.0.1"
    assert set(kinds(host=PUBLIC).values()) == {AcceptAll}


def test_on_a_trusted_network_bridges_without_credentials_are_open() -> None:
    found = kinds(host=PUBLIC, trust_network=True, native_token=SECRET)
    assert found == dict.fromkeys(KEYED, AcceptAll) | {"native": BearerAuthenticator}


def test_twilio_may_rely_on_shared_keys_or_on_the_streams_token_alone() -> None:
    shared = {"twilio_url": "wss://x/calls/twilio", "twilio_shared_keys": f"SK1:{SECRET}"}
    assert kinds(host=PUBLIC, **shared)["twilio"] is TwilioAuthenticator
    assert kinds(host=PUBLIC, twilio_token=SECRET)["twilio"] is CheckedAtStart
    assert kinds(host=PUBLIC, twilio_url="wss://x", native_token=SECRET)["twilio"] is RejectAll


def test_rows_are_named_as_their_clients_and_their_settings_as_the_rows() -> None:
    for name, provider in PROVIDERS.items():
        assert provider.name == provider.client.name == name
        assert all(field.startswith(f"{name}_") for field in provider.settings.model_fields)


def test_providers_of_either_leg_are_listed_in_order() -> None:
    assert legs(PROVIDERS) == (
        "asterisk",
        "exotel",
        "freeswitch",
        "jambonz",
        "plivo",
        "telnyx",
        "twilio",
    )


def test_an_audiohook_session_without_its_id_may_not_connect() -> None:
    handshake = Handshake("/calls/audiohook", {})
    with pytest.raises(Unauthorized, match="missing"):
        PROVIDERS["audiohook"].create_bridge(Settings(), BridgeOptions(), handshake)
