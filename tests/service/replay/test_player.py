import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest

from model.audio import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from service.events import Pcm
from service.replay.player import replay
from service.replay.summary import ReplaySummary
from service.telephony.shared.interleaved import Encoding
from tests.limits import ENOUGH_S
from tests.service.replay.native_service import NativeService, serving
from tests.service.replay.recordings import recording


@pytest.mark.parametrize(
    ("encoding", "through"),
    [
        (Encoding.MULAW, lambda pcm: mulaw_decode(mulaw_encode(pcm))),
        (Encoding.ALAW, lambda pcm: alaw_decode(alaw_encode(pcm))),
        (Encoding.L16, lambda pcm: pcm),
    ],
)
async def test_every_sample_of_every_track_arrives(
    encoding: Encoding, through: Callable[[Pcm], Pcm]
) -> None:
    service, stereo = NativeService(), recording(0.513, tracks=2)
    async with serving(service) as url:
        summary = await replay([stereo], url, speed=5, encoding=encoding)
    (call_id,) = service.received
    for column, track in enumerate(stereo.tracks):
        expected = through(np.ascontiguousarray(stereo.pcm[:, column]))
        np.testing.assert_array_equal(service.audio(call_id, track), expected)
    assert service.started[call_id].metadata == {"recording": "a.wav"}
    assert (summary.calls, summary.live, summary.readings) == (1, 0, 5)
    assert not summary.errors
    assert summary.played_s == pytest.approx(0.513)


async def test_frames_are_sent_in_real_time_times_speed() -> None:
    service = NativeService()
    async with serving(service) as url:
        begin_s = time.monotonic()
        await replay([recording(1.0)], url, speed=2)
        took_s = time.monotonic() - begin_s
    # The last of 50 frames is due at 49 * 20 ms / 2.
    assert service.arrived_s[-1] - begin_s >= 0.49
    assert took_s < 3
    # Frames that are late are caught up with, so that the middle one is no earlier than due.
    assert service.arrived_s[25] - begin_s >= 0.25


async def test_more_calls_than_files_play_at_once() -> None:
    service = NativeService()
    async with serving(service) as url:
        summary = await replay([recording(1.5)], url, calls=3)
    assert summary.calls == 3
    assert service.most_live == 3
    assert len(set(service.received)) == 3


async def test_files_are_dealt_round_robin() -> None:
    service = NativeService()
    files = [recording(0.1, name=name) for name in "abc"]
    async with serving(service) as url:
        await replay(files, url, speed=5)
        played = [started.metadata["recording"] for started in service.started.values()]
        assert played == ["a", "b", "c"]
        service.started.clear()
        await replay(files, url, calls=2, speed=5)
        played = [started.metadata["recording"] for started in service.started.values()]
        assert sorted(played) == ["a", "b", "c"]
        assert service.most_live <= 2


async def test_repeating_goes_on_until_stopped() -> None:
    service = NativeService(stop_after=3)
    async with serving(service) as url, asyncio.timeout(ENOUGH_S):
        summary = await replay([recording(0.1)], url, speed=5, repeat=True, stop=service.stop)
    assert summary.calls >= 3
    assert not summary.errors


async def test_stopping_ends_the_call_as_a_hang_up_would() -> None:
    service, summary = NativeService(stop_after=2), ReplaySummary()
    async with serving(service) as url, asyncio.timeout(ENOUGH_S):
        assert await replay([recording(60)], url, stop=service.stop, summary=summary) is summary
    assert service.stops == 1
    assert 0.19 < summary.played_s < 10
    assert not summary.errors
