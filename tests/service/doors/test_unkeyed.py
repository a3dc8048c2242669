import pytest

from service.doors.door import Handshake, Unauthorized
from service.doors.unkeyed import ClosedDoor, OpenDoor

ANYBODY = Handshake("/calls/native", {"authorization": "Bearer anything"})


def test_an_open_door_asks_for_nothing() -> None:
    OpenDoor().check(Handshake("/calls/native", {}), 0.0)
    OpenDoor().check(ANYBODY, 0.0)


def test_a_closed_door_lets_nobody_pass() -> None:
    with pytest.raises(Unauthorized) as refused:
        ClosedDoor().check(ANYBODY, 0.0)
    assert refused.value.reason == "no_credentials"
