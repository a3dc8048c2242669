import numpy as np
import pytest

from model.audio import SAMPLE_RATE
from service.events import Track
from service.loadtest.speech import LINE_NOISE, NoSpeech, tape, utterances
from service.replay.demo import SAMPLES
from service.telephony.shared.recording import Recording

FRAME = 160
SPOKEN = [np.full(round(seconds * SAMPLE_RATE), 9000, np.int16) for seconds in (1.0, 2.3, 4.1)]


def test_utterances_are_what_the_gate_finds_of_the_caller() -> None:
    recording = Recording.read(SAMPLES[0])
    found = utterances([recording])
    caller = recording.pcm[:, recording.tracks.index(Track.CALLER)]
    assert len(found) > 1
    assert 4 < sum(map(len, found)) / SAMPLE_RATE < len(caller) / SAMPLE_RATE
    first = next(
        at for at in range(len(caller)) if np.array_equal(caller[at : at + 99], found[0][:99])
    )
    assert np.array_equal(caller[first : first + len(found[0])], found[0])


def test_recordings_without_speech_are_a_sentence() -> None:
    silence = Recording("quiet", (Track.CALLER,), np.zeros((80_000, 1), np.int16))
    with pytest.raises(NoSpeech, match=r"got 2 recordings, expected speech of 0\.5 s"):
        utterances([silence, silence])


@pytest.mark.parametrize("talk", [0.1, 0.45, 0.9, 1.0])
def test_the_talk_share_is_met(talk: float) -> None:
    pcm = tape(SPOKEN, talk, 60.0, FRAME, seed=1)
    assert pcm.shape[1] == 1
    assert len(pcm) % FRAME == 0
    assert len(pcm) >= 60 * SAMPLE_RATE
    assert (pcm == 9000).mean() == pytest.approx(talk, abs=0.001)


def test_pauses_differ_and_each_follows_an_utterance() -> None:
    spoken = tape(SPOKEN, 0.5, 120.0, FRAME, seed=1)[:, 0] == 9000
    edges = np.flatnonzero(np.diff(spoken.astype(int)))
    pauses = np.diff(edges)[0::2]  # from the end of one to the beginning of the next
    assert spoken[0]
    assert len(set(pauses.tolist())) == len(pauses) > 5


def test_a_silent_caller_is_an_open_line() -> None:
    pcm = tape(SPOKEN, 0.0, 10.0, FRAME, seed=1)
    assert len(pcm) == 10 * SAMPLE_RATE
    assert 0 < np.abs(pcm).max() <= LINE_NOISE


def test_a_seed_decides_the_tape() -> None:
    one, same, other = (tape(SPOKEN, 0.45, 30.0, FRAME, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one[:1000], other[:1000]) or len(one) != len(other)
