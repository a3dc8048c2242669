"""The generator with real websockets, at a small service of the native protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from service.errors import Overloaded
from service.events import Track
from service.loadtest.generator import Callers, Generator
from service.loadtest.schedule import Arrivals
from service.loadtest.tally import Tally
from service.telephony.native.client import NativeClient
from service.telephony.shared.client import NO_CREDENTIALS
from service.telephony.shared.interleaved import Encoding
from tests.limits import ENOUGH_S
from tests.service.replay.native_service import NativeService, serving

FRAME = 160
TAPE = np.arange(-4000, 4000, dtype=np.int16)[:, np.newaxis]  # no sample twice


@asynccontextmanager
async def generating(
    url: str, rate: float | None = None, call_s: float = 3600.0
) -> AsyncIterator[Generator]:
    callers = Callers(NativeClient, url, Encoding.L16, NO_CREDENTIALS, [TAPE], FRAME, call_s)
    generator = Generator(callers, Arrivals(rate))
    running = asyncio.create_task(generator.run())
    try:
        yield generator
        await generator.stop()
    finally:
        running.cancel()
        await asyncio.wait({running})


async def until(generator: Generator, reached: Callable[[Tally], bool]) -> Tally:
    """Returns everything that has happened once it is enough."""
    so_far = Tally()
    async with asyncio.timeout(ENOUGH_S):
        while not reached(so_far):
            await asyncio.sleep(0.02)
            so_far.add(generator.take_tally())
    return so_far


async def test_it_keeps_as_many_calls_live_as_are_wanted() -> None:
    service = NativeService()
    async with serving(service) as url, generating(url) as generator:
        for wanted in (4, 7, 2):
            generator.wanted = wanted
            await until(generator, lambda tally, n=wanted: tally.live == n and tally.readings > 0)
            async with asyncio.timeout(ENOUGH_S):
                while service.live != wanted:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
    assert service.most_live == 7
    assert service.stops == 7  # every call was ended by its protocol


async def test_a_call_plays_its_tape_in_a_circle_from_an_offset() -> None:
    service = NativeService()
    async with serving(service) as url, generating(url) as generator:
        generator.wanted = 1
        await until(generator, lambda tally: tally.frames >= 60)
    (heard,) = (service.audio(call_id, Track.CALLER) for call_id in service.received)
    at = int(np.flatnonzero(TAPE[:, 0] == heard[0])[0])
    assert at % FRAME == 0
    assert np.array_equal(heard, np.take(TAPE[:, 0], range(at, at + len(heard)), mode="wrap"))


async def test_a_call_that_is_over_is_replaced() -> None:
    service = NativeService()
    async with serving(service) as url, generating(url, call_s=0.2) as generator:
        generator.wanted = 2
        tally = await until(generator, lambda tally: tally.ended >= 3)
    assert tally.started >= 4
    assert tally.broken == tally.refused == 0


async def test_lateness_is_counted_from_when_the_last_sample_was_spoken() -> None:
    """A reading of 0.1 s comes with the frame that ends there, so that only the delay is late."""
    async with serving(NativeService(delay_s=0.3)) as url, generating(url) as generator:
        generator.wanted = 1
        tally = await until(generator, lambda tally: bool(tally.late_s))
    assert 0.3 <= tally.late_s[0] < ENOUGH_S


async def test_refused_callers_say_in_which_words_and_are_not_replaced_at_once() -> None:
    service = NativeService(refusal=Overloaded(2))
    async with serving(service) as url, generating(url) as generator:
        generator.wanted = 3
        tally = await until(generator, lambda tally: tally.refused >= 3)
        await asyncio.sleep(0.2)
        assert generator.take_tally().started == 0
    assert tally.words == {f"overloaded: {Overloaded(2)}": 3}
    assert len(tally.refused_after_s) == 3
    assert tally.broken == 0


async def test_an_admitted_call_that_the_service_ends_is_broken() -> None:
    service = NativeService(hangs_up=True)  # after its first reading
    async with serving(service) as url, generating(url) as generator:
        generator.wanted = 1
        tally = await until(generator, lambda tally: tally.broken >= 1)
        generator.wanted = 0
    assert tally.refused == 0
    assert tally.readings >= 0
    assert tally.words["closed with 1006: "] >= 1


async def test_a_stop_that_nobody_answers_is_a_broken_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.loadtest.generator.STOPPED_WITHIN_S", 0.1)
    async with serving(NativeService(answers_stop=False)) as url, generating(url) as generator:
        generator.wanted = 1
        await until(generator, lambda tally: tally.started == 1)
        generator.wanted = 0
        tally = await until(generator, lambda tally: tally.broken == 1)
    assert tally.words == {"no_stopped: the service did not end it in 0.1 s": 1}


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/", "ws://no-such-host.invalid/", "nonsense"])
async def test_a_connection_that_fails_is_a_broken_call_with_a_reason(url: str) -> None:
    async with generating(url) as generator:
        generator.wanted = 1
        tally = await until(generator, lambda tally: tally.broken >= 1)
        generator.wanted = 0
    assert tally.started == 0
    assert any(words.startswith("no service at ") for words in tally.words)
