from service.store.event_batch import BEFORE_ALL, EventBatch
from service.store.views import StreamEvent


def batch(*ids: str) -> EventBatch:
    return EventBatch([StreamEvent(id, "reading", "{}") for id in ids])


def ids(found: EventBatch | None) -> list[str]:
    return [event.id for event in found.events] if found else []


def test_a_batch_whose_events_are_all_new_stays_the_same_object() -> None:
    whole = batch("7-1", "7-2", "10-0")
    assert whole.after(BEFORE_ALL) is whole
    assert whole.after((7, 0)) is whole
    assert whole.last == (10, 0)
    assert len(whole) == 3


def test_events_that_were_seen_are_left_out() -> None:
    whole = batch("7-1", "7-2", "10-0")
    assert ids(whole.after((7, 1))) == ["7-2", "10-0"]
    assert ids(whole.after((9, 0))) == ["10-0"]
    assert whole.after((10, 0)) is None
    assert whole.after((11, 0)) is None


def test_a_batch_follows_what_is_before_all_of_it() -> None:
    whole = batch("7-1", "10-0")
    assert whole.follows((7, 0))
    assert not whole.follows((7, 1))
    assert not EventBatch.resync("9-0").follows((7, 0)), "its ids may have begun anew"


def test_a_heartbeat_has_no_place_among_the_events() -> None:
    beat = EventBatch.heartbeat("{}")
    assert (beat.kind, beat.last, len(beat)) == ("heartbeat", BEFORE_ALL, 1)
