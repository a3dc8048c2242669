"""What all dialects have in common, and the rules in which they differ."""

import pytest

from service.api.telephony import BRIDGES
from service.errors import NotStarted, Overloaded, Stopping
from service.events import Track
from service.settings import Settings
from service.telephony.audiosocket.bridge import AudioSocketBridge
from service.telephony.shared.authenticator import Handshake
from service.telephony.shared.bridge import Bridge

HANDSHAKE = Handshake("/", {"audiohook-session-id": "s"})


def bridge(name: str) -> Bridge:
    if name == "audiosocket":
        return AudioSocketBridge(frozenset(Track), track=Track.CALLER)
    return BRIDGES[name](Settings(), HANDSHAKE, {})


ALL = [*BRIDGES, "audiosocket"]


@pytest.mark.parametrize("name", ALL)
def test_a_call_that_comes_again_replaces_the_live_one_but_where_ids_are_the_clients_own(
    name: str,
) -> None:
    assert bridge(name).replaces is (name != "native")


def test_only_dialects_of_one_voice_a_connection_join() -> None:
    # Asterisk's does once it was told which call it is a side of.
    assert [name for name in ALL if bridge(name).joins] == ["audiosocket"]


@pytest.mark.parametrize("name", ALL)
def test_every_dialect_begins_without_a_fault_and_has_an_end(name: str) -> None:
    made = bridge(name)
    assert made.close_code is None
    assert made.message_errors == {}
    assert list(made.replies()) == []
    assert made.overdue() == [] if made.deadline_s is None else made.deadline_s > 0
    made.reconnect("nothing is live")
    assert list(made.replies()) == []
    assert made.disconnected() == []


@pytest.mark.parametrize("refusal", [NotStarted(30), Overloaded(2), Stopping()])
@pytest.mark.parametrize("name", ALL)
def test_every_dialect_has_words_for_every_refusal(
    name: str, refusal: NotStarted | Overloaded | Stopping
) -> None:
    made = bridge(name)
    made.refused(refusal)
    said = "".join(map(str, made.replies()))
    assert str(refusal) in said or str(refusal) == made.close_reason
    assert made.close_code is not None or "disconnect" in said
