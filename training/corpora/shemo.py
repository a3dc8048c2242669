"""Reads ShEMO (Mohamad Nezami et al. 2019): Persian, 87 speakers in radio plays."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

# Gender and number of the speaker, emotion, number of the utterance.
NAME = re.compile(r"(?P<speaker>[FM]\d{2})(?P<emotion>[AHSNWF])\d+")
EMOTIONS = {
    "a": "anger",
    "h": "happiness",
    "s": "sadness",
    "n": "neutral",
    "w": "surprise",
    "f": "fear",
}


def read(folder: Path) -> Iterator[Found]:
    return by_name("shemo", folder, NAME, EMOTIONS, Style.SPONTANEOUS, "fa", "male/M03A05.wav")
