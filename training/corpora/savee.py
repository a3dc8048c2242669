"""Reads SAVEE (Haq & Jackson 2010): British English, four men."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

# Speaker (a folder, or the beginning of the name), emotion, sentence.
NAME = re.compile(r"(?P<speaker>DC|JE|JK|KL)[/_](?P<emotion>sa|su|a|d|f|h|n)\d{2}")
EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


def read(folder: Path) -> Iterator[Found]:
    return by_name("savee", folder, NAME, EMOTIONS, Style.ACTED, "en", "AudioData/DC/a01.wav")
