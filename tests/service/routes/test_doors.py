from typing import Any

import pytest

from service.doors.audiohook import AudioHookDoor
from service.doors.basic import BasicDoor
from service.doors.bearer import BearerDoor
from service.doors.plivo import PlivoDoor
from service.doors.twilio import TwilioDoor
from service.doors.unkeyed import ClosedDoor, OpenDoor
from service.routes.bridges import DIALECTS
from service.routes.doors import doors
from service.settings import Settings

PUBLIC = "0.0.0.0"

KEYED: dict[str, tuple[type, dict[str, Any]]] = {
    "asterisk": (BasicDoor, {"asterisk_password": "p"}),
    "audiohook": (AudioHookDoor, {"audiohook_keys": "k:"}),
    "exotel": (BasicDoor, {"exotel_password": "p"}),
    "freeswitch": (BasicDoor, {"freeswitch_password": "p"}),
    "jambonz": (BasicDoor, {"jambonz_password": "p"}),
    "native": (BearerDoor, {"native_token": "t"}),
    "plivo": (PlivoDoor, {"plivo_url": "wss://x/calls/plivo", "plivo_auth_token": "a"}),
    "telnyx": (BearerDoor, {"telnyx_token": "t"}),
    "twilio": (TwilioDoor, {"twilio_url": "wss://x/calls/twilio", "twilio_auth_token": "a"}),
    "vonage": (BearerDoor, {"vonage_token": "t"}),
}


def kinds(**settings: Any) -> dict[str, type]:
    return {name: type(door) for name, door in doors(Settings(**settings)).items()}


def test_every_dialect_has_a_door() -> None:
    assert set(doors(Settings())) == set(DIALECTS) == set(KEYED)


@pytest.mark.parametrize("bridge", KEYED)
def test_a_bridge_with_credentials_asks_for_them_and_the_others_stay_as_they_are(
    bridge: str,
) -> None:
    door, settings = KEYED[bridge]
    for host, others in (("127.0.0.1", OpenDoor), ("::1", OpenDoor), (PUBLIC, ClosedDoor)):
        assert kinds(host=host, **settings) == dict.fromkeys(KEYED, others) | {bridge: door}


def test_without_any_credentials_the_service_hides_on_loopback_and_is_open_there() -> None:
    assert Settings(host=PUBLIC).listens_at == "127.0.0.1"
    assert set(kinds(host=PUBLIC).values()) == {OpenDoor}


def test_on_a_trusted_network_bridges_without_credentials_are_open() -> None:
    found = kinds(host=PUBLIC, trust_network=True, native_token="t")
    assert found == dict.fromkeys(KEYED, OpenDoor) | {"native": BearerDoor}


def test_twilio_may_rely_on_shared_keys_or_on_the_streams_token_alone() -> None:
    shared = {"twilio_url": "wss://x/calls/twilio", "twilio_shared_keys": "SK1:s"}
    assert kinds(host=PUBLIC, **shared)["twilio"] is TwilioDoor
    assert kinds(host=PUBLIC, twilio_token="t")["twilio"] is OpenDoor
    assert kinds(host=PUBLIC, twilio_url="wss://x", native_token="t")["twilio"] is ClosedDoor
