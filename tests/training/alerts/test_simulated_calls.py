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
from model.labels import EMOTIONS
from training import sounds
from training.alerts.callers import SimulatedCaller, held_out_callers
from training.alerts.simulated_calls import (
    EPISODE_S,
    MUSIC_S,
    CallsConfig,
    CallsError,
    SimulatedCall,
    make_calls,
)
from training.data.manifest import folders_of, read_corpora
from training.data.recordings import RecordingError

ANGER, HAPPINESS, SADNESS, NEUTRAL = EMOTIONS
GATE = GateSpec()
CONFIG = CallsConfig()
SILENT = replace(CONFIG, noise_db=-300.0)  # no background noise: only the recordings


@pytest.fixture(scope="module")
def calls(ada: SimulatedCaller) -> list[SimulatedCall]:
    """One call of every script, without background noise."""
    return list(make_calls([ada], SILENT, GATE))


def trimmed(ada: SimulatedCaller, name: str) -> Pcm:
    (path,) = (u.path for u in ada.utterances if u.path.name == name)
    pcm, _ = soundfile.read(path, dtype="int16")
    spans = speech_spans(pcm, GATE)
    return pcm[spans[0].start * HOP_SAMPLES : spans[-1].end * HOP_SAMPLES]


def silences(track: Pcm) -> NDArray[np.float64]:
    """Returns where silences of 0.05 s and more begin and end: (n, 2) in seconds."""
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


def test_the_same_seed_makes_the_same_calls_whoever_else_calls(
    ada: SimulatedCaller, ben: SimulatedCaller
) -> None:
    config = replace(CONFIG, calls_per_speaker=2, minutes=1.0)
    first = list(make_calls([ada], config, GATE))
    again = list(make_calls([ben, ada], config, GATE))[2:]
    other = list(make_calls([ada], replace(config, seed=1), GATE))
    for one, same, another in zip(first, again, other, strict=True):
        assert one.episodes == same.episodes
        assert one.recordings == same.recordings
        assert one.episodes != another.episodes or one.recordings != another.recordings
    one, same = (list(make_calls([ada, ben], config, GATE))[0] for _ in range(2))
    np.testing.assert_array_equal(one.pcm, same.pcm)


def test_an_episode_holds_its_recordings_from_onset_to_end(
    ada: SimulatedCaller, calls: list[SimulatedCall]
) -> None:
    for call in calls:
        left = {emotion: list(names) for emotion, names in call.recordings.items()}
        for episode in call.episodes:
            onset, end = (round(s * SAMPLE_RATE) for s in (episode.onset_s, episode.end_s))
            track = call.pcm[onset:end, 0].astype(float)
            at = 0
            while at < len(track):
                recording = trimmed(ada, left[episode.emotion].pop(0)).astype(float)
                begins = at + int(correlate(track[at:], recording, "valid").argmax())
                assert begins == 0 if at == 0 else begins > at
                at = begins + len(recording)
                # Faded, and clipped where she shouts.
                assert np.corrcoef(track[begins:at], recording)[0, 1] > 0.98
            assert at == len(track)
        assert not any(names for emotion, names in left.items() if emotion is not NEUTRAL)


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


def test_between_episodes_there_is_neutral_speech(calls: list[SimulatedCall]) -> None:
    for call in calls:
        ends_s = [0.0, *(e.end_s for e in call.episodes)]
        for before_s, episode in zip(ends_s, call.episodes, strict=False):
            assert episode.onset_s - before_s >= CONFIG.calm_s[0]
        assert len(call.recordings[NEUTRAL]) > len(set(call.recordings[NEUTRAL])) == 5


def test_a_caller_speaks_at_the_network_s_level_and_shouts_above_it(
    calls: list[SimulatedCall],
) -> None:
    def level_db(pcm: Pcm) -> float:
        return 20 * math.log10(np.sqrt(np.mean(np.square(pcm[pcm != 0], dtype=float))) / 32768)

    assert level_db(calls[0].pcm[:, 0]) == pytest.approx(CONFIG.level_db, abs=1)
    angry = next(e for e in calls[1].episodes if e.speech_s >= EPISODE_S)
    shouted = calls[1].pcm[round(angry.onset_s * SAMPLE_RATE) : round(angry.end_s * SAMPLE_RATE), 0]
    assert level_db(shouted) > CONFIG.level_db + 5


def test_a_track_is_never_digitally_silent(ada: SimulatedCaller) -> None:
    (call,) = make_calls([ada], replace(CONFIG, calls_per_speaker=1, minutes=0.5), GATE)
    assert call.agent is None  # there is no other caller
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
def test_speakers_held_out_from_the_shipped_model_make_calls() -> None:
    meta = load(SHIPPED).meta
    trained_on = {"emodb": meta.training["trained_on"]["emodb"]}
    utterances = read_corpora(folders_of(os.environ["KANJO_CORPORA"]))
    callers, excluded = held_out_callers(utterances, trained_on, "test")
    assert {c.speaker for c in callers} | {s.speaker for s in excluded} == set(
        trained_on["emodb"]["test_speakers"]
    )
    assert not {c.speaker for c in callers} & set(trained_on["emodb"]["speakers"])
    for call in make_calls(callers, CONFIG, meta.gate):
        is_speech = np.zeros(len(call.pcm) // HOP_SAMPLES + 1, bool)
        for start, end in speech_spans(np.ascontiguousarray(call.pcm[:, 0]), meta.gate):
            is_speech[start:end] = True
        for episode in call.episodes:
            spoken = is_speech[round(episode.onset_s / HOP_S) : round(episode.end_s / HOP_S)]
            assert spoken.sum() * HOP_S > 0.9 * episode.speech_s
        assert 0.3 < is_speech.mean() < 0.9


def test_music_on_hold_is_as_loud_as_speech_and_not_in_an_episode(
    ada: SimulatedCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sounds are replaced by a tone and by nothing, so that the music can be found again."""

    def make(kind: str, number: int, duration_s: float) -> NDArray[np.float64]:
        at_s = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
        return np.sin(2 * np.pi * 3900 * at_s) * (kind == "music")

    monkeypatch.setattr(sounds, "make", make)
    for call in make_calls([ada], replace(SILENT, sounds=True), GATE):
        seconds = call.pcm[:, 0].reshape(-1, SAMPLE_RATE).astype(float)
        tone = np.abs(np.fft.rfft(seconds, axis=1))[:, 3900] * 2 / SAMPLE_RATE
        level = 32768 * 10 ** (CONFIG.level_db / 20) * math.sqrt(2)
        full = np.flatnonzero(np.isclose(tone, level, rtol=0.02))
        assert len(full) >= MUSIC_S - 1
        assert full[-1] - full[0] == len(full) - 1  # one stretch
        assert np.count_nonzero(tone > 0.2 * level) <= MUSIC_S + 2
        assert full[0] >= call.duration_s / 2 - 1
        for episode in call.episodes:
            assert episode.end_s <= full[0] + 1 or episode.onset_s >= full[-1]


def test_calls_with_sounds_are_noisy_all_the_time_and_the_same_again(ada: SimulatedCaller) -> None:
    config = replace(SILENT, sounds=True, calls_per_speaker=1)
    (call,), (again,) = (list(make_calls([ada], config, GATE)) for _ in range(2))
    np.testing.assert_array_equal(call.pcm, again.pcm)
    assert len(silences(call.pcm[:, 0])) < len(
        silences(list(make_calls([ada], SILENT, GATE))[0].pcm[:, 0])
    )
