"""Small corpora with synthetic voices, in the layouts in which the real ones are distributed."""

import csv
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

# The annotations of one dialogue; two annotators gave two emotions.
IEMOCAP_DIALOG = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\t{dialog}_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t()
C-E4:\tNeutral; Frustration;\t(a remark; with a semicolon)
C-F1:\tAnger;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()
A-F1:\tval 3; act 2; dom  1;\t()

[10.0100 - 11.3925]\t{dialog}_F001\tang\t[2.5000, 2.5000, 2.5000]
C-E2:\tAnger;\t()
C-E3:\tAnger; Disgust;\t()
C-E4:\tFrustration;\t()
A-E3:\tval 1; act 4; dom  4;\t()

[11.0000 - 12.0000]\t{dialog}_M000\texc\t[4.0000, 4.0000, 2.5000]
C-E2:\tExcited;\t()
C-E3:\tHappiness;\t()
C-E4:\tExcited;\t()

[12.0000 - 13.0000]\t{dialog}_M001\thap\t[4.0000, 3.0000, 2.5000]
C-E2:\tHappiness;\t()
C-E3:\tHappiness;\t()
C-E4:\tNeutral state;\t()

[13.0000 - 14.0000]\t{dialog}_F002\tsad\t[1.5000, 2.0000, 2.0000]
C-E2:\tSadness;\t()
C-E3:\tSadness;\t()
C-E4:\tSadness;\t()

[14.0000 - 15.0000]\t{dialog}_M002\tfru\t[2.0000, 3.0000, 3.0000]
C-E2:\tFrustration;\t()
C-E3:\tFrustration;\t()
C-E4:\tAnger;\t()

[15.0000 - 16.0000]\t{dialog}_M003\txxx\t[2.0000, 3.0000, 3.0000]
C-E2:\tFrustration;\t()
C-E3:\tNeutral;\t()
C-E4:\tAnger;\t()

"""
IEMOCAP_UTTERANCES = ("F000", "F001", "M000", "M001", "F002", "M002", "M003")


def voice(name: str, seconds: float = 0.3, rate: int = 16000) -> NDArray[np.float32]:
    """Returns a sound (n,) that is seeded by its name, so that no two are alike."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    at_s = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * rng.uniform(150, 400) * at_s + rng.uniform(0, 6))
    return (0.2 * tone + rng.normal(0, 0.01, len(at_s))).astype(np.float32)


def record(path: Path, channels: int = 1, seconds: float = 0.3, rate: int = 16000) -> None:
    """Writes a recording with another voice in each channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voices = [voice(f"{path.name} {channel}", seconds, rate) for channel in range(channels)]
    soundfile.write(path, np.stack(voices, axis=1), rate, subtype="PCM_16")


def named_folder(folder: Path, names: Iterable[str], channels: int = 1) -> Path:
    """Writes a corpus that encodes speaker and emotion in the names of its recordings."""
    for name in names:
        record(folder / name, channels)
    return folder


def iemocap_folder(folder: Path, sessions: int = 5) -> Path:
    """Writes `IEMOCAP_full_release` and returns it.

    Each session has two dialogues, one named after the woman and one after the man. Five of the
    seven utterances of a dialogue have one of the four emotions.
    """
    root = folder / "IEMOCAP_full_release"
    for session in range(1, sessions + 1):
        for gender in "FM":
            dialog = f"Ses0{session}{gender}_impro01"
            evaluation = root / f"Session{session}" / "dialog" / "EmoEvaluation"
            for below in ("Attribute", "Categorical", "Self-evaluation"):
                (evaluation / below).mkdir(parents=True, exist_ok=True)
                (evaluation / below / f"{dialog}_e2_cat.txt").write_text("not read\n")
            (evaluation / f"{dialog}.txt").write_text(IEMOCAP_DIALOG.format(dialog=dialog))
            (evaluation / f"._{dialog}.txt").write_bytes(b"\0\5\x16\7")
            wav = root / f"Session{session}" / "sentences" / "wav" / dialog
            for utterance in IEMOCAP_UTTERANCES:
                record(wav / f"{dialog}_{utterance}.wav")
            (wav / f"._{dialog}_F000.wav").write_bytes(b"\0\5\x16\7")
    return root


CALLS = 8
# The emotions of three annotators, and the transcript.
CALL = (
    ("angry", "angry", "disgust", "いつまで待たせるんですか"),
    ("happy", "happy", "happy", "ありがとうございます"),
    ("Sad", "sadness", "neutral", "困っているんです"),
    ("neutral", "neutral", "neutral", "番号を申し上げます"),
    ("neutral", "neutral", "angry", "はい、はい。"),
    ("angry", "sad", "neutral", "どうしましょう"),
    ("disgust", "disgust", "angry", "うんざりです"),
)


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def callcentre_folder(folder: Path, calls: int = CALLS, channels: int = 1) -> Path:
    """Writes calls of seven utterances, half a second each, with three annotators.

    Four of the seven are kept. Speakers are not named; in stereo the caller is on channel 1.
    """
    rows: list[dict[str, object]] = []
    for call in range(calls):
        name = f"calls/{call:04d}.wav"
        record(folder / name, channels, seconds=len(CALL) / 2, rate=8000)
        for number, (first, second, third, transcript) in enumerate(CALL):
            row: dict[str, object] = {
                "recording": name,
                "start": f"{number / 2:.2f}",
                "end": f"{number / 2 + 0.5:.2f}",
                "transcript": transcript,
                "annotator_1": first,
                "annotator_2": second,
                "annotator_3": third,
            }
            rows.append(row | ({"channel": 1} if channels == 2 else {}))
    write_table(folder / "labels.csv", rows)
    return folder
