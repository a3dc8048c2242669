from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import soxr

from model.audio import SAMPLE_RATE, Pcm
from model.concealment import CONCEALED_S
from model.speaker_baseline import SpeakerBaseline
from model.speech_check_file import shipped_check
from service.calls.context import CallContext
from service.calls.track import TrackPipeline
from service.calls.windows import Window
from service.classification import cut
from service.metrics import Metrics
from tests.service.calls.harness import FIRST_S, HOP_S, META, monologue, sample, silence

CHECK = shipped_check(META.features)
CONCEALED = "kanjo_concealed_audio_seconds_total"


@pytest.fixture
def context() -> CallContext:
    """What a pipeline needs of a service; no batcher and no store."""
    made = SimpleNamespace(
        meta=META, metrics=Metrics(), gate=True, first_s=FIRST_S, hop_s=HOP_S, check=CHECK
    )
    return cast(CallContext, made)


def pipeline(context: CallContext, rate: int = SAMPLE_RATE, start_s: float = 0.0) -> TrackPipeline:
    return TrackPipeline(rate, context, SpeakerBaseline(META.features), start_s)


def packets(pcm: Pcm, size: int) -> Iterator[Pcm]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def places(windows: list[Window]) -> list[tuple[float, float, float]]:
    return [(w.start_s, w.end_s, w.heard_s) for w in windows]


def concealed_s(context: CallContext) -> float | None:
    return context.metrics.registry.get_sample_value(CONCEALED)


@pytest.mark.parametrize("rate", [SAMPLE_RATE, 16_000])
def test_the_windows_are_the_same_for_any_size_of_packets(context: CallContext, rate: int) -> None:
    pcm = sample()[: 12 * SAMPLE_RATE]
    wide = pcm if rate == SAMPLE_RATE else soxr.resample(pcm, SAMPLE_RATE, rate)
    found = []
    for size in (rate // 50, rate // 7, rate):
        track = pipeline(context, rate)
        windows = [w for packet in packets(wide, size) for w in track.receive(packet, HOP_S)]
        found.append(windows + track.flush())
        assert track.position_s == pytest.approx(12, abs=0.001)
    assert places(found[0]) == places(found[1]) == places(found[2])
    assert len(found[0]) > 3


def test_a_track_that_starts_later_has_the_same_windows_later(context: CallContext) -> None:
    pcm = sample()[: 12 * SAMPLE_RATE]
    track = pipeline(context, start_s=2.5)
    assert track.position_s == 2.5
    windows = [w for packet in packets(pcm, 160) for w in track.receive(packet, HOP_S)]
    windows += track.flush()
    alone = cut(pcm, META, FIRST_S, HOP_S)
    assert [w.end_s for w in windows] == pytest.approx([w.end_s + 2.5 for w in alone.windows])
    assert track.speech_s == pytest.approx(alone.speech_s)


def test_a_short_loss_is_filled_with_the_latest_audio(context: CallContext) -> None:
    pcm = monologue()[: 3 * SAMPLE_RATE]
    lost = round(CONCEALED_S * SAMPLE_RATE)
    track, filled = pipeline(context), pipeline(context)
    for one in (track, filled):
        one.receive(pcm, HOP_S)
    assert track.speaking
    windows = list(track.lose(lost, HOP_S))
    assert track.speaking
    assert concealed_s(context) == pytest.approx(CONCEALED_S)
    expected = list(filled.receive(np.resize(pcm[-160:], lost), HOP_S))
    assert places(windows + track.flush()) == places(expected + filled.flush())
    assert track.position_s == 3 + CONCEALED_S


@pytest.mark.parametrize("before_s", [0, 3])
def test_a_loss_that_is_longer_or_comes_first_is_a_gap(context: CallContext, before_s: int) -> None:
    lost = round(CONCEALED_S * SAMPLE_RATE) + (1 if before_s else 0)
    track = pipeline(context)
    if before_s:
        track.receive(monologue()[: before_s * SAMPLE_RATE], HOP_S)
    windows = track.lose(lost, HOP_S)
    assert len(windows) == (1 if before_s else 0)
    assert not track.speaking
    assert concealed_s(context) == 0
    assert track.position_s == before_s + lost / SAMPLE_RATE


def test_the_hop_may_change_with_every_packet(context: CallContext) -> None:
    ungated = cast(CallContext, SimpleNamespace(**{**vars(context), "gate": False}))
    track = pipeline(ungated)
    ends = [w.end_s for w in track.receive(silence(2), HOP_S)]
    for packet in packets(silence(10), SAMPLE_RATE):
        ends += [w.end_s for w in track.receive(packet, 4.0)]
    assert ends == pytest.approx([1.5, 2.5, 6.5, 10.5])
