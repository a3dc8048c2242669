import csv
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from model.audio import SAMPLE_RATE, Pcm
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, SpeechGate, Stretch, speech_spans
from tests.g711 import alaw, mulaw
from training.data.manifest import folders_of, manifests_in

SPEC = GateSpec()


def seconds(number: float) -> int:
    return round(number * SAMPLE_RATE)


def silence(s: float) -> Pcm:
    return np.zeros(seconds(s), np.int16)


def idle(s: float) -> Pcm:
    """Returns an open telephone line on which nobody speaks."""
    return np.random.default_rng(0).integers(-8, 9, seconds(s)).astype(np.int16)


def voice(s: float) -> Pcm:
    """Returns harmonics as of a voice: four syllables a second, moving pitch and formants."""
    at_s = np.arange(seconds(s)) / SAMPLE_RATE
    pitch_hz = 140 + 30 * np.sin(2 * np.pi * 0.7 * at_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE
    formants_hz = 550 + 200 * np.sin(2 * np.pi * 1.3 * at_s), 1600 + 500 * np.sin(2 * np.pi * at_s)
    wave = np.zeros_like(at_s)
    for k in range(1, 24):
        strength = sum(np.exp(-(((k * pitch_hz - f) / 200) ** 2)) for f in formants_hz)
        wave += (strength + 0.05) * np.sin(k * phase)
    syllables = 0.15 + 0.85 * np.abs(np.sin(2 * np.pi * 2 * at_s))
    return np.round(4000 * syllables * wave / np.abs(wave).max()).astype(np.int16)


def tone(s: float, *hz: float) -> Pcm:
    at_s = np.arange(seconds(s)) / SAMPLE_RATE
    return np.round(sum(5000 * np.sin(2 * np.pi * f * at_s) for f in hz)).astype(np.int16)


def white_noise(s: float, rms: float) -> Pcm:
    return np.round(np.random.default_rng(0).normal(0, rms, seconds(s))).astype(np.int16)


CALL = np.concatenate(
    (idle(0.5), voice(1.0), idle(0.3), voice(0.7), tone(1.0, 425), idle(0.9), voice(0.805))
)


def stretches(pcm: Pcm, spec: GateSpec = SPEC) -> list[Stretch | None]:
    """Returns the stretch of speech at each hop."""
    return SpeechGate(spec).feed(pcm)


@given(st.lists(st.integers(0, 900), max_size=40))
def test_any_chunking_gives_the_same_stretches_one_for_each_full_hop(sizes: list[int]) -> None:
    gate = SpeechGate(SPEC)
    pieces = np.split(CALL, np.minimum(np.cumsum(sizes, dtype=int), len(CALL)))
    found = [stretch for piece in pieces for stretch in gate.feed(piece)]
    assert len(found) == len(CALL) // HOP_SAMPLES
    assert found == stretches(CALL)


def test_samples_may_be_fed_singly() -> None:
    gate, pcm = SpeechGate(SPEC), CALL[: seconds(1.2)]
    found = [stretch for sample in pcm for stretch in gate.feed(np.array([sample], np.int16))]
    assert found == stretches(pcm)
    assert found[-1]


def test_a_buffer_may_be_reused_after_it_was_fed() -> None:
    gate, buffer, found = SpeechGate(SPEC), np.zeros(110, np.int16), []
    whole = CALL[: len(CALL) // 110 * 110]
    for piece in whole.reshape(-1, 110):
        buffer[:] = piece
        found += gate.feed(buffer)
    assert found == stretches(whole)


def test_a_channel_of_an_interleaved_array_gives_the_same_as_a_plain_one() -> None:
    interleaved = np.stack((CALL, np.zeros_like(CALL)), axis=1)
    assert stretches(interleaved[:, 0]) == stretches(CALL)


@pytest.mark.parametrize(
    "pcm",
    [
        pytest.param(silence(3), id="digital silence"),
        pytest.param(idle(3), id="idle line"),
        pytest.param(white_noise(3, 100), id="quiet noise"),
        pytest.param(white_noise(3, 1000), id="loud noise"),
        pytest.param(np.concatenate((idle(1), tone(3, 425))), id="European dial tone"),
        pytest.param(np.concatenate((idle(1), tone(3, 350, 440))), id="American dial tone"),
        pytest.param(
            np.concatenate((idle(1), tone(2, 440, 480), idle(2))), id="American ringback tone"
        ),
        pytest.param(np.concatenate((tone(0.5, 480, 620), idle(0.5)) * 4), id="American busy tone"),
        pytest.param(np.concatenate((idle(0.5), tone(0.2, 770, 1336)) * 4), id="keypad"),
    ],
)
def test_sounds_other_than_voices_never_open_it(pcm: Pcm) -> None:
    for received in (pcm, mulaw(pcm), alaw(pcm)):
        assert not any(stretches(received))


def test_a_tone_is_rejected_for_its_steady_level() -> None:
    pcm = np.concatenate((idle(1), tone(3, 425)))
    assert speech_spans(pcm, GateSpec(lively_db=0))
    assert not speech_spans(pcm, GateSpec())


def test_a_click_does_not_open_it() -> None:
    pcm = idle(3)
    for at_s in (0.5, 1.5, 1.6, 2.5):
        pcm[seconds(at_s) : seconds(at_s) + 40] = 20_000
    assert not any(stretches(pcm))


def test_a_voice_opens_it_and_the_stretch_begins_earlier() -> None:
    pcm = np.concatenate((idle(1), voice(2), idle(1)))
    [(start, end)] = speech_spans(pcm, SPEC)
    assert 1 - SPEC.lead_s - SPEC.grid_s <= start * HOP_S <= 1
    assert 3 <= end * HOP_S <= 3.2

    opened = next(hop for hop, stretch in enumerate(stretches(pcm)) if stretch)
    lead_start, grid = opened + 1 - round(SPEC.lead_s / HOP_S), round(SPEC.grid_s / HOP_S)
    assert start == lead_start // grid * grid
    assert opened * HOP_S < 1.3


def test_a_voice_at_the_very_start_begins_at_hop_0() -> None:
    assert speech_spans(voice(1), SPEC)[0].start == 0


def test_while_the_voice_continues_the_stretch_ends_now() -> None:
    found = stretches(np.concatenate((idle(1), voice(2))))
    opened = next(hop for hop, stretch in enumerate(found) if stretch)
    now = [(hop + 1, stretch.end) for hop, stretch in enumerate(found) if stretch]
    assert len(now) == len(found) - opened
    assert all(end <= hop for hop, end in now)
    assert np.mean([end == hop for hop, end in now]) > 0.8


def test_a_pause_shorter_than_close_s_stays_within_the_stretch() -> None:
    pcm = np.concatenate((voice(1), idle(0.4), voice(1), idle(1)))
    [(_, end)] = speech_spans(pcm, SPEC)
    assert end * HOP_S >= 2.4


def test_a_pause_longer_than_close_s_ends_it() -> None:
    pcm = np.concatenate((voice(1), idle(1.2), voice(1), idle(1)))
    (_, end), (start, _) = speech_spans(pcm, SPEC)
    assert end * HOP_S < 1.2
    assert start * HOP_S >= 2.2 - SPEC.lead_s - SPEC.grid_s


def test_it_closes_after_exactly_close_s_without_voice() -> None:
    found = stretches(np.concatenate((voice(1), silence(2))))
    last = max(hop for hop, stretch in enumerate(found) if stretch)
    stretch = found[last]
    assert stretch
    assert last + 1 - stretch.end == round(SPEC.close_s / HOP_S) - 1
    assert not any(found[last + 1 :])


@given(
    st.lists(
        st.tuples(st.sampled_from([voice, idle, silence]), st.integers(1, 12)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([SPEC, GateSpec(close_s=0.05, lead_s=2.0), GateSpec(open_s=0.01, lead_s=0.01)]),
)
def test_stretches_are_in_order_and_apart_and_end_by_now(sections, spec: GateSpec) -> None:
    pcm = np.concatenate([section(tenths / 10) for section, tenths in sections])
    at_hops = stretches(pcm, spec)
    for hop, stretch in enumerate(at_hops):
        assert stretch is None or 0 <= stretch.start < stretch.end <= hop + 1
    spans = speech_spans(pcm, spec)
    assert all(before.end <= after.start for before, after in zip(spans, spans[1:], strict=False))
    assert {stretch.start for stretch in at_hops if stretch} == {span.start for span in spans}
    grid = round(spec.grid_s / HOP_S)
    ends = [0, *(span.end for span in spans)]
    assert all(s.start % grid == 0 or s.start == end for s, end in zip(spans, ends, strict=False))


def test_without_a_full_hop_there_is_no_speech() -> None:
    assert stretches(silence(0)) == []
    assert stretches(silence(0.009)) == []
    assert speech_spans(silence(0), SPEC) == []


@pytest.mark.parametrize(
    ("pcm", "got"),
    [
        (np.zeros(160, np.float32), r"float32 samples \(160,\)"),
        (np.zeros(160, np.uint8), r"uint8 samples \(160,\)"),
        (np.zeros(160, ">i2"), r">i2 samples \(160,\)"),
        (np.zeros((160, 2), np.int16), r"int16 samples \(160, 2\)"),
        (np.zeros((), np.int16), r"int16 samples \(\)"),
    ],
)
def test_samples_of_other_types_are_refused_and_change_nothing(pcm, got: str) -> None:
    gate = SpeechGate(SPEC)
    found = gate.feed(CALL[:5000])
    with pytest.raises(TypeError, match=rf"gate: got {got}, expected int16 \(n,\)"):
        gate.feed(pcm)
    assert found + gate.feed(CALL[5000:]) == stretches(CALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"aggressiveness": 4}, "aggressiveness is 4, expected 0, 1, 2 or 3"),
        ({"aggressiveness": 1.5}, "aggressiveness is 1.5, expected 0, 1, 2 or 3"),
        ({"lively_db": -1.0}, "lively_db is -1.0, expected a number from 0 on"),
        ({"lively_s": 0.0}, "lively_s is 0.0, expected at least 0.01"),
        ({"open_s": 0.0}, "open_s is 0.0, expected at least 0.01"),
        ({"close_s": 0.0}, "close_s is 0.0, expected at least 0.01"),
        ({"close_s": float("nan")}, "close_s is nan, expected a number from 0 on"),
        ({"lead_s": float("inf")}, "lead_s is inf, expected a number from 0 on"),
        ({"lead_s": "0.3"}, "lead_s is '0.3', expected a number from 0 on"),
        ({"lead_s": 0.05}, "lead_s is 0.05, expected at least open_s, 0.1"),
    ],
)
def test_an_impossible_spec_is_refused_by_name(wrong, message: str) -> None:
    with pytest.raises(ValueError, match="gate: " + message.replace(".", r"\.")):
        GateSpec(**wrong)


def test_a_spec_survives_json() -> None:
    spec = GateSpec(aggressiveness=1, close_s=0.8)
    assert GateSpec(**json.loads(json.dumps(asdict(spec)))) == spec


def recorded() -> Iterator[tuple[str, Pcm]]:
    """Yields about ten utterances of each corpus."""
    for manifest in manifests_in(folders_of(os.environ["KANJO_CORPORA"])):
        with manifest.open(newline="") as file:
            paths = sorted(row["path"] for row in csv.DictReader(file))
        for path in paths[:: len(paths) // 10]:
            pcm, rate = soundfile.read(manifest.parent / path, dtype="int16")
            assert rate == SAMPLE_RATE
            yield path, pcm


@pytest.mark.corpora
def test_no_recorded_utterance_is_lost() -> None:
    for path, pcm in recorded():
        spans = speech_spans(mulaw(pcm), SPEC)
        assert sum(end - start for start, end in spans) * HOP_S >= 0.5, path


@pytest.mark.corpora
@pytest.mark.parametrize("codec", [mulaw, alaw])
def test_speech_begins_at_the_same_place_with_and_without_a_codec(
    codec: Callable[[Pcm], Pcm],
) -> None:
    call = np.concatenate([piece for _, pcm in recorded() for piece in (idle(1.0), pcm)])

    def moved(spec: GateSpec) -> float:
        """Returns the share of stretches that begin elsewhere over the codec."""
        bare, coded = (
            {stretch.start for stretch in speech_spans(pcm, spec)} for pcm in (call, codec(call))
        )
        return 1 - len(bare & coded) / len(bare | coded)

    assert moved(SPEC) < 0.15
    assert moved(SPEC) < 0.5 * moved(GateSpec(noise_rms=0.0, grid_s=HOP_S))
