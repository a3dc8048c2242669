"""What all bridges have in common, and the rules in which they differ."""

import pytest

from service.errors import NotStarted, Overloaded, Stopping
from service.events import Track
from service.settings import Settings
from service.telephony.audiosocket.bridge import AudioSocketBridge
from service.telephony.providers import PROVIDERS
from service.telephony.shared.authenticator import Handshake
from service.telephony.shared.bridge import Bridge
from service.telephony.shared.provider import BridgeOptions

HANDSHAKE = Handshake("/", {"audiohook-session-id": "s"})
ALL = [*PROVIDERS, "audiosocket"]


def bridge_of(name: str) -> Bridge:
    if name == "audiosocket":
        return AudioSocketBridge(frozenset(Track), track=Track.CALLER)
    return PROVIDERS[name].create_bridge(Settings(), BridgeOptions(), HANDSHAKE)


@pytest.mark.parametrize("name", ALL)
def test_a_call_that_comes_again_replaces_the_live_one_unless_clients_choose_ids(
    name: str,
) -> None:
    assert bridge_of(name).replaces is (name != "native")


def test_only_bridges_of_one_track_a_connection_join() -> None:
    # Asterisk's joins once its start named the call.
    assert [name for name in ALL if bridge_of(name).joins] == ["audiosocket"]


@pytest.mark.parametrize("name", ALL)
def test_every_bridge_begins_without_errors_and_has_an_end(name: str) -> None:
    bridge = bridge_of(name)
    assert bridge.close_code is None
    assert bridge.message_errors == {}
    assert list(bridge.replies()) == []
    assert bridge.overdue() == [] if bridge.deadline_s is None else bridge.deadline_s > 0
    bridge.reconnect("nothing is live")
    assert list(bridge.replies()) == []
    assert bridge.disconnected() == []


@pytest.mark.parametrize("refusal", [NotStarted(30), Overloaded(2), Stopping()])
@pytest.mark.parametrize("name", ALL)
def test_every_bridge_gives_the_reason_of_every_refusal(
    name: str, refusal: NotStarted | Overloaded | Stopping
) -> None:
    bridge = bridge_of(name)
    bridge.refused(refusal)
    replies = "".join(map(str, bridge.replies()))
    assert str(refusal) in replies or str(refusal) == bridge.close_reason
    assert bridge.close_code is not None or "disconnect" in replies
