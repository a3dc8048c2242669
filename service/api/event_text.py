"""Batches of events as the text of server-sent events, made once for all who read the same."""

from weakref import WeakKeyDictionary

from sse_starlette import ServerSentEvent

from service.api.numbers import masked_event
from service.store.event_batch import EventBatch


class EventText:
    """Turns batches into bytes, and keeps these for as long as there is the batch.

    There are two kinds: with whole telephone numbers and with masked ones. Nothing else in an event
    depends on who reads it.
    """

    def __init__(self) -> None:
        self._whole: WeakKeyDictionary[EventBatch, bytes] = WeakKeyDictionary()
        self._masked: WeakKeyDictionary[EventBatch, bytes] = WeakKeyDictionary()

    def __len__(self) -> int:
        """Returns how many texts are kept."""
        return len(self._whole) + len(self._masked)

    def of(self, batch: EventBatch, *, masked: bool) -> bytes:
        """Returns all events of the batch, each with its id, with masked numbers or whole ones."""
        kept = self._masked if masked else self._whole
        text = kept.get(batch)
        if text is None:
            text = kept[batch] = _encoded(batch, masked)
        return text


def _encoded(batch: EventBatch, masked: bool) -> bytes:
    texts = []
    for event in batch.events:
        data = masked_event(event) if masked else event.data
        texts.append(ServerSentEvent(data, event=event.kind, id=event.id or None).encode())
    return b"".join(texts)
