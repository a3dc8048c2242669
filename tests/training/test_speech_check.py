"""What the shipped check rejects, and the training of one."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model import SHIPPED
from model.artifact import load
from model.audio import Pcm
from model.speech_check_file import load_check
from service.classification import cut
from tests.paths import SAMPLES
from tests.service.calls.harness import FIRST_S, HOP_S
from training.data.manifest import folders_of, read_corpora
from training.data.recordings import read_recording
from training.sounds import make
from training.speech_check import at_level, train, windows_of

META = load(SHIPPED).meta
NEW = 100_000  # numbers of sounds from here on are not those of the training
DURATION_S = 20.0


def pcm_of(wave: np.ndarray) -> Pcm:  # type: ignore[type-arg]
    levels: Pcm = np.clip(at_level(wave, -22) * 32768, -32768, 32767).astype(np.int16)
    return levels


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("music", 0.6),
        *(("melody", 0.8), ("keypad", 0.9), ("tones", 0.9), ("blowing", 0.9)),
        *(("knocks", 0.9), ("rumble", 0.9)),
    ],
)
def test_few_windows_of_other_sounds_are_left(kind: str, least: float) -> None:
    found = left = 0
    for number in range(NEW, NEW + 8):
        pcm = pcm_of(make(kind, number, DURATION_S))
        found += len(windows_of(pcm / 32768, META.features, META.gate))
        left += len(cut(pcm, META, FIRST_S, HOP_S).windows)
    assert found > 0, "the gate itself rejects these sounds"
    assert left <= (1 - least) * found


@pytest.mark.corpora
def test_hardly_any_speech_is_lost() -> None:
    check = load_check()
    rejected = total = 0
    for utterance in read_corpora(folders_of(os.environ["KANJO_CORPORA"]))[::40]:
        wave = at_level(read_recording(utterance.path).astype(np.float64), -22)
        for row in windows_of(wave, META.features, META.gate):
            total += 1
            rejected += not check.accepts(row)
    assert total > 100
    assert rejected <= 0.01 * total


def test_a_training_writes_a_check_and_reports_what_was_left_out(tmp_path: Path) -> None:
    recordings = {}
    for corpus in ("sounds-angry", "neutral"):
        voice, rate = soundfile.read(SAMPLES / f"{corpus}.flac", dtype="int16")
        recordings[corpus] = [tmp_path / f"{corpus}.wav"]
        soundfile.write(recordings[corpus][0], voice[:, 0], rate)
    out = tmp_path / "check.npz"
    shares = train(recordings, META.features, META.gate, out, 0.1, {"music": 4, "keypad": 4})
    names = ["speech: sounds-angry", "speech: neutral", "speech over noise or music"]
    assert [name for name, _ in shares] == [*names, "music", "keypad"]
    assert all(0 <= share <= 1 for _, share in shares)
    check = load_check(out)
    keypad = windows_of(at_level(make("keypad", NEW, DURATION_S), -22), META.features, META.gate)
    assert len(keypad)
    assert not any(check.accepts(row) for row in keypad)
