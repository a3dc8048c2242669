import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.signal import correlate

from model import SHIPPED
from model.artifact import load
from model.audio import SAMPLE_RATE, Pcm
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, speech_spans
from model.labels import EMOTIONS, Emotion, Style
from training.alerts.simulated_calls import (
    EPISODE_S,
    CallsConfig,
    CallsError,
    SimulatedCall,
    SimulatedCaller,
    Skipped,
    held_out,
    make_calls,
)
from training.data.manifest import Utterance, read_corpora
from training.data.recordings import RecordingError

ANGER, HAPPINESS, SADNESS, NEUTRAL = EMOTIONS
GATE = GateSpec()
CONFIG = CallsConfig()
SILENT = replace(CONFIG, noise_db=-300.0)  # a line on which only what is said is to be heard
TRAINED_ON = {"stage": {"valid_speakers": ["ada"], "test_speakers": ["ben", "cyd"]}}


def voice(s: float, pitch_hz: float, level: float = 3000.0) -> Pcm:
    """Harmonics whose pitch and level move as a voice's do, but which never pause."""
    at_s = np.arange(round(SAMPLE_RATE * s)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * at_s)))
    wave = sum(np.sin(k * phase / SAMPLE_RATE) / k for k in range(1, 15))
    envelope = 0.25 + np.abs(np.sin(2 * np.pi * 2 * at_s + 0.5))
    return np.round(level * wave * envelope).clip(-32768, 32767).astype(np.int16)


def recorded(folder: Path, speaker: str, emotion: Emotion, take: int, s: float) -> Utterance:
    path = folder / f"{speaker}-{emotion}-{take}.flac"
    pitch_hz = 90 + 7 * take + 30 * EMOTIONS.index(emotion) + len(speaker) + ord(speaker[0]) % 7
    level = 9000.0 if emotion is ANGER else 3000.0
    room = np.random.default_rng(take).integers(5, 9, SAMPLE_RATE // 2).astype(np.int16)
    soundfile.write(path, np.concatenate((room, voice(s, pitch_hz, level), room)), SAMPLE_RATE)
    return Utterance(path, "stage", Style.ACTED, "xx", speaker, emotion, s + 1)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Ada says everything; Ben too little in anger, nothing sad; Cyd hardly anything neutrally."""
    folder = tmp_path_factory.mktemp("stage")
    made = [recorded(folder, "ada", e, take, 1.7) for e in EMOTIONS for take in range(5)]
    made += [recorded(folder, "ben", e, take, 1.7) for e in (HAPPINESS, NEUTRAL) for take in (0, 1)]
    made += [recorded(folder, "ben", NEUTRAL, take, 1.7) for take in (2, 3)]
    made += [recorded(folder, "ben", ANGER, 0, 1.7)]
    made += [recorded(folder, "cyd", NEUTRAL, take, 1.7) for take in (0, 1)]
    return made


@pytest.fixture(scope="module")
def ada(utterances: list[Utterance]) -> SimulatedCaller:
    return SimulatedCaller("stage", "ada", tuple(u for u in utterances if u.speaker == "ada"))


@pytest.fixture(scope="module")
def ben(utterances: list[Utterance]) -> SimulatedCaller:
    return SimulatedCaller("stage", "ben", tuple(u for u in utterances if u.speaker == "ben"))


@pytest.fixture(scope="module")
def calls(ada: SimulatedCaller) -> list[SimulatedCall]:
    """A call of every script, on a silent line."""
    return list(make_calls([ada], SILENT, GATE))


def trimmed(ada: SimulatedCaller, name: str) -> Pcm:
    (path,) = (u.path for u in ada.utterances if u.path.name == name)
    pcm, _ = soundfile.read(path, dtype="int16")
    spans = speech_spans(pcm, GATE)
    return pcm[spans[0].start * HOP_SAMPLES : spans[-1].end * HOP_SAMPLES]


def silences(track: Pcm) -> NDArray[np.float64]:
    """(n, 2) where silences of 0.05 s and more begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate(([1], track != 0, [1]))))
    spans = edges.reshape(-1, 2) / SAMPLE_RATE
    return spans[spans[:, 1] - spans[:, 0] > 0.05]


def test_a_call_is_two_tracks_as_long_as_asked(ada: SimulatedCaller, ben: SimulatedCaller) -> None:
    config = replace(CONFIG, minutes=0.6, calls_per_speaker=2)
    made = list(make_calls([ada, ben], config, GATE))
    assert [call.call_id for call in made] == [
        "stage/ada/0",
        "stage/ada/1",
        "stage/ben/0",
        "stage/ben/1",
    ]
    for call in made:
        assert call.pcm.dtype == np.int16
        assert call.pcm.shape == (36 * SAMPLE_RATE, 2)
        assert call.duration_s == 36


def test_the_same_seed_makes_the_same_calls_in_whatever_company(
    ada: SimulatedCaller, ben: SimulatedCaller
) -> None:
    config = replace(CONFIG, calls_per_speaker=2, minutes=1.0)
    first = list(make_calls([ada], config, GATE))
    again = list(make_calls([ben, ada], config, GATE))[2:]
    other = list(make_calls([ada], replace(config, seed=1), GATE))
    for one, same, another in zip(first, again, other, strict=True):
        assert one.episodes == same.episodes
        assert one.said == same.said
        assert one.episodes != another.episodes or one.said != another.said
    one, same = (list(make_calls([ada, ben], config, GATE))[0] for _ in range(2))
    np.testing.assert_array_equal(one.pcm, same.pcm)


def test_an_episode_holds_its_recordings_from_onset_to_end(
    ada: SimulatedCaller, calls: list[SimulatedCall]
) -> None:
    for call in calls:
        said = {emotion: list(names) for emotion, names in call.said.items()}
        for episode in call.episodes:
            onset, end = (round(s * SAMPLE_RATE) for s in (episode.onset_s, episode.end_s))
            track = call.pcm[onset:end, 0].astype(float)
            at = 0
            while at < len(track):
                recording = trimmed(ada, said[episode.emotion].pop(0)).astype(float)
                begins = at + int(correlate(track[at:], recording, "valid").argmax())
                assert begins == 0 if at == 0 else begins > at
                at = begins + len(recording)
                heard, expected = track[begins:at], recording
                assert np.corrcoef(heard, expected)[0, 1] > 0.98  # faded, clipped where she shouts
            assert at == len(track)
        assert not any(names for emotion, names in said.items() if emotion is not NEUTRAL)


def test_a_caller_s_calls_are_neutral_angry_happy_and_mixed(calls: list[SimulatedCall]) -> None:
    neutral, angry, happy, mixed = ([e.emotion for e in call.episodes] for call in calls)
    assert neutral == []
    assert angry == [ANGER] * 3
    assert happy == [HAPPINESS] * 3
    assert sorted(mixed) == [ANGER, HAPPINESS, SADNESS]
    assert all(not call.missing for call in calls)


def test_long_episodes_have_four_seconds_of_speech_and_short_ones_less(
    calls: list[SimulatedCall],
) -> None:
    for call, short in zip(calls, (0, 1, 1, 0), strict=True):
        speech_s = [episode.speech_s for episode in call.episodes]
        assert sum(s < EPISODE_S for s in speech_s) == short
        assert all(s >= CONFIG.short_s[0] for s in speech_s)
        for episode in call.episodes:
            assert episode.end_s - episode.onset_s >= episode.speech_s - 1e-6


def test_silences_are_as_long_as_asked_and_breaths_shorter(calls: list[SimulatedCall]) -> None:
    for call in calls:
        spans = silences(call.pcm[:, 0])[:-1]  # the last is what is left of the call
        inside = [
            any(e.onset_s <= start and end <= e.end_s for e in call.episodes)
            for start, end in spans
        ]
        for (start, end), is_breath in zip(spans, inside, strict=True):
            least_s, most_s = CONFIG.breath_s if is_breath else CONFIG.pause_s
            assert least_s - 0.01 <= end - start <= most_s + 0.01
        assert len(spans) > 20
        assert any(inside) == bool(call.episodes)


def test_between_episodes_there_is_neutral_talk(calls: list[SimulatedCall]) -> None:
    for call in calls:
        ends_s = [0.0, *(e.end_s for e in call.episodes)]
        for before_s, episode in zip(ends_s, call.episodes, strict=False):
            assert episode.onset_s - before_s >= CONFIG.calm_s[0]
        assert len(call.said[NEUTRAL]) > len(set(call.said[NEUTRAL])) == 5


def test_a_caller_speaks_at_the_line_s_level_and_shouts_above_it(
    calls: list[SimulatedCall],
) -> None:
    def level_db(pcm: Pcm) -> float:
        return 20 * math.log10(np.sqrt(np.mean(np.square(pcm[pcm != 0], dtype=float))) / 32768)

    assert level_db(calls[0].pcm[:, 0]) == pytest.approx(CONFIG.level_db, abs=1)
    angry = next(e for e in calls[1].episodes if e.speech_s >= EPISODE_S)
    shouted = calls[1].pcm[round(angry.onset_s * SAMPLE_RATE) : round(angry.end_s * SAMPLE_RATE), 0]
    assert level_db(shouted) > CONFIG.level_db + 5


def test_a_line_is_never_silent(ada: SimulatedCaller) -> None:
    (call,) = make_calls([ada], replace(CONFIG, calls_per_speaker=1, minutes=0.5), GATE)
    assert call.agent is None  # nobody else is there
    noise = call.pcm[:, 1].astype(float)
    assert 20 * math.log10(noise.std() / 32768) == pytest.approx(CONFIG.noise_db, abs=0.5)


def test_the_agent_is_another_caller_of_the_corpus_and_shows_any_emotion(
    ada: SimulatedCaller, ben: SimulatedCaller
) -> None:
    stranger = SimulatedCaller("street", "eve", ben.utterances)
    made = list(make_calls([ben, ada, stranger], replace(SILENT, calls_per_speaker=1), GATE))
    assert [call.agent for call in made][:2] == ["stage/ada", "stage/ben"]
    assert made[2].agent in ("stage/ada", "stage/ben")
    assert len(silences(made[0].pcm[:, 1])) > 20
    assert np.abs(made[0].pcm[:, 1]).max() > 2 * np.abs(made[0].pcm[:, 0]).max()  # she shouts


def test_episodes_of_which_too_little_is_recorded_are_named_and_left_out(
    ben: SimulatedCaller,
) -> None:
    neutral, angry, happy, mixed = make_calls([ben], CONFIG, GATE)
    assert neutral.missing == set()
    assert angry.missing == {ANGER}
    assert [e.speech_s < EPISODE_S for e in angry.episodes] == [True]  # one recording is enough
    assert happy.missing == {HAPPINESS}
    assert mixed.missing == {ANGER, HAPPINESS, SADNESS}
    assert mixed.episodes == ()


def test_who_was_held_out_and_can_call_calls_and_the_others_are_told(
    utterances: list[Utterance], ada: SimulatedCaller, ben: SimulatedCaller
) -> None:
    assert held_out(utterances, TRAINED_ON, "valid") == ([ada], [])
    callers, skipped = held_out(utterances, TRAINED_ON, "test")
    assert callers == [ben]
    assert skipped == [Skipped("stage", "cyd", "2 neutral utterances, expected 3 or more")]
    elsewhere = {"street": {"valid_speakers": ["ada"]}, "stage": TRAINED_ON["stage"]}
    callers, skipped = held_out(utterances, elsewhere, "valid")
    assert callers == [ada]
    assert skipped == [Skipped("street", "ada", "no recordings")]


def test_a_model_that_does_not_say_who_was_held_out_is_told(utterances: list[Utterance]) -> None:
    with pytest.raises(CallsError, match=r"stage: found \['speakers'\], expected test_speakers"):
        held_out(utterances, {"stage": {"speakers": ["ada"]}}, "test")


@pytest.mark.parametrize("trained_on", [{}, {"stage": {"test_speakers": ["cyd", "nobody"]}}])
def test_that_nobody_can_call_is_told(utterances: list[Utterance], trained_on: dict) -> None:
    with pytest.raises(CallsError, match="test speakers, none with 3 neutral utterances"):
        held_out(utterances, trained_on, "test")


def test_an_unreadable_recording_is_named(ada: SimulatedCaller, tmp_path: Path) -> None:
    path = tmp_path / "notes.flac"
    path.write_text("notes")
    spoiled = replace(ada, utterances=tuple(replace(u, path=path) for u in ada.utterances))
    with pytest.raises(RecordingError, match=r"notes\.flac"):
        next(make_calls([spoiled], CONFIG, GATE))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"minutes": 0.4}, "got calls of 0.4 minutes, expected 0.5 or more"),
        ({"minutes": math.nan}, "got calls of nan minutes"),
        ({"calls_per_speaker": 0}, "got 0 calls a speaker, expected 1 or more"),
    ],
)
def test_impossible_calls_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(CallsError, match=message):
        CallsConfig(**wrong)


@pytest.mark.corpora
def test_speakers_that_the_shipped_model_never_heard_make_calls() -> None:
    meta = load(SHIPPED).meta
    trained_on = {"emodb": meta.training["trained_on"]["emodb"]}
    utterances = read_corpora(Path(os.environ["KANJO_CORPORA"]))
    callers, skipped = held_out(utterances, trained_on, "test")
    assert {c.speaker for c in callers} | {s.speaker for s in skipped} == set(
        trained_on["emodb"]["test_speakers"]
    )
    assert not {c.speaker for c in callers} & set(trained_on["emodb"]["speakers"])
    for call in make_calls(callers, CONFIG, meta.gate):
        heard = np.zeros(len(call.pcm) // HOP_SAMPLES + 1, bool)
        for start, end in speech_spans(np.ascontiguousarray(call.pcm[:, 0]), meta.gate):
            heard[start:end] = True
        for episode in call.episodes:
            spoken = heard[round(episode.onset_s / HOP_S) : round(episode.end_s / HOP_S)]
            assert spoken.sum() * HOP_S > 0.9 * episode.speech_s
        assert 0.3 < heard.mean() < 0.9
