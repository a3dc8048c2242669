"""Reads CREMA-D (Cao et al. 2014): American English, 91 actors."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

# Actor, sentence, emotion, level.
NAME = re.compile(r"(?P<speaker>\d{4})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_[A-Z]{1,2}")
EMOTIONS = {
    "ang": "anger",
    "dis": "disgust",
    "fea": "fear",
    "hap": "happiness",
    "neu": "neutral",
    "sad": "sadness",
}


def read(folder: Path) -> Iterator[Found]:
    example = "AudioWAV/1001_DFA_ANG_XX.wav"
    return by_name("cremad", folder, NAME, EMOTIONS, Style.ACTED, "en", example)
