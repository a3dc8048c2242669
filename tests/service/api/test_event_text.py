import gc

from sse_starlette import ServerSentEvent

from service.api.event_text import EventText
from service.store.event_batch import EventBatch
from service.store.views import StreamEvent
from tests.service.api.test_numbers import METADATA, SECRET, view

READING = StreamEvent("1-0", "reading", '{"number": 1}')
STARTED = StreamEvent("1-1", "call_started", view(**METADATA).model_dump_json())


def test_each_event_of_a_batch_is_a_server_sent_event_with_its_id() -> None:
    text = EventText().of(EventBatch([READING, STARTED]), masked=False)
    assert text == b"".join(
        ServerSentEvent(event.data, event=event.kind, id=event.id).encode()
        for event in (READING, STARTED)
    )
    assert EventText().of(EventBatch.heartbeat("{}"), masked=False) == (
        b"event: heartbeat\r\ndata: {}\r\n\r\n"
    )


def test_a_batch_is_encoded_once_for_all_who_may_see_the_same() -> None:
    texts = EventText()
    batch = EventBatch([READING, STARTED])
    whole, masked = texts.of(batch, masked=False), texts.of(batch, masked=True)
    assert texts.of(batch, masked=False) is whole
    assert texts.of(batch, masked=True) is masked
    assert SECRET.search(whole.decode())
    assert not SECRET.search(masked.decode())
    assert masked.startswith(b"id: 1-0\r\nevent: reading\r\n")


def test_a_text_is_kept_no_longer_than_its_batch() -> None:
    texts = EventText()
    batch = EventBatch([READING])
    texts.of(batch, masked=True)
    del batch
    gc.collect()
    assert not len(texts)
