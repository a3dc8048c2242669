"""Calls share the batcher: none takes the turns of others."""

import pytest

from tests.service.scoring.test_batcher import (
    NumberScorer,
    dropped,
    make_batcher,
    number,
    running,
    window,
)


async def test_greedy_calls_take_no_turn_of_others() -> None:
    """Thirty calls want far more than is scored; ten calls want one window each."""
    scorer = NumberScorer()
    batcher = make_batcher(scorer, batch_max=64, queue_max=512)
    greedy = [batcher.submit(window(n), call) for n in range(64) for call in range(30)]
    assert len(batcher) == 512
    honest = [batcher.submit(window(100 + n), f"honest {n}") for n in range(10)]
    again = batcher.submit(window(200), "honest 0")
    async with running(batcher):
        assert [await number(posterior) for posterior in honest] == [100 + n for n in range(10)]
        assert await number(again) == 200
    assert set(scorer.batches[0]) >= {100.0 + n for n in range(10)}
    assert 200 not in scorer.batches[0]  # a call's second window comes after all first ones
    assert 200 in scorer.batches[1]
    reasons = [str(posterior.exception()) for posterior in greedy]
    assert reasons.count("window dropped: queue_full") == 64 * 30 - 512 + 11


async def test_a_full_queue_drops_from_the_call_with_the_most_windows() -> None:
    batcher = make_batcher(NumberScorer(), queue_max=4)
    few = batcher.submit(window(0), "few")
    many = [batcher.submit(window(n), "many") for n in range(1, 4)]
    more = [batcher.submit(window(n), "other") for n in (4, 5)]
    assert [await dropped(posterior) for posterior in many[:2]] == ["queue_full"] * 2
    async with running(batcher):
        assert [await number(p) for p in (few, many[2], *more)] == [0, 3, 4, 5]


async def test_the_windows_of_a_call_are_no_pressure_on_others() -> None:
    now_s = 0.0
    batcher = make_batcher(NumberScorer(), queue_max=100, max_age_s=1.0, clock=lambda: now_s)
    for n in range(80):
        batcher.submit(window(n), "many")
    now_s = 0.9
    batcher.submit(window(0), "few")
    assert batcher.pressure("many") == pytest.approx(0.9)
    assert batcher.pressure("few") == pytest.approx(0.04)  # the second turn of two calls
    assert batcher.pressure("new") == pytest.approx(0.02)
