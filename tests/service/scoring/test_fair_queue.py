"""The queue, held to the plain and slow description of what it does."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from service.scoring.fair_queue import FairQueue


@dataclass(frozen=True, eq=False)
class Item:
    call: str
    queued_at: float


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from("abcd")),
        st.tuples(st.sampled_from(("pop", "pop_of_most")), st.none()),
        st.tuples(st.just("discard"), st.integers(0, 20)),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_queue_is_as_its_description(steps: list[tuple[str, object]]) -> None:
    queue: FairQueue[Item] = FairQueue()
    turns: list[tuple[str, list[Item]]] = []  # calls in their order, with their items
    pushed: list[Item] = []

    def items_of(call: str) -> list[Item]:
        for name, items in turns:
            if name == call:
                return items
        turns.append((call, []))
        return turns[-1][1]

    for step, what in steps:
        if step == "push":
            item = Item(str(what), len(pushed))
            pushed.append(item)
            items_of(item.call).append(item)
            queue.push(item)
        elif step == "discard":
            if isinstance(what, int) and what < len(pushed):
                item = pushed[what]
                queue.discard(item)
                for _, items in turns:
                    if item in items:
                        items.remove(item)
        elif turns:
            if step == "pop":
                turn = turns.pop(0)
                turns.append(turn)
                assert queue.pop() is turn[1].pop(0)
            else:
                most = max(len(items) for _, items in turns)
                item = queue.pop_of_most()
                items = items_of(item.call)
                assert len(items) == most
                assert items.pop(0) is item
        turns = [turn for turn in turns if turn[1]]
        assert len(queue) == sum(len(items) for _, items in turns)
        assert queue.calls == len(turns)
        at = [item.queued_at for _, items in turns for item in items]
        assert queue.oldest_at == min(at, default=None)
        for call in "abcd":
            own = [item for name, items in turns for item in items if name == call]
            assert queue.count(call) == len(own)
            assert queue.oldest_of(call) == (own[0].queued_at if own else None)
