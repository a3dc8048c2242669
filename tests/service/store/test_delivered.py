from service.store.delivered import Delivered
from service.store.entries import Command


def command(kind: str, session: str = "s1") -> Command:
    return Command(kind, ["session", session])


def test_what_was_delivered_last_is_kept_in_its_order() -> None:
    now = 0.0
    delivered = Delivered(limit=3, kept_s=10, clock=lambda: now)
    delivered.add([command("call_started"), command("heartbeat"), command("sweep")])
    now = 10.0
    delivered.add([command("reading")])
    assert [one.kind for one in delivered.commands] == ["call_started", "reading"]
    now = 11.0
    delivered.add([command("transition")])
    assert [one.kind for one in delivered.commands] == ["reading", "transition"]
    now = 1000.0  # an outage alone makes nothing old
    assert len(delivered.commands) == 2
    now = 11.0
    delivered.add([command("call_ended"), command("call_started")])
    assert [one.kind for one in delivered.commands] == ["transition", "call_ended", "call_started"]


def test_a_session_is_forgotten_but_not_its_refusal() -> None:
    delivered = Delivered()
    delivered.add([command("reading"), command("refused"), command("reading", "s2")])
    delivered.forget("s1")
    assert delivered.commands == [command("refused"), command("reading", "s2")]
