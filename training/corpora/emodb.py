"""Reads EMO-DB (Burkhardt et al. 2005): German, ten actors."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

# Speaker, text, emotion (its German initial), version.
NAME = re.compile(r"(?P<speaker>\d{2})[ab]\d{2}(?P<emotion>[WLEAFTN])[a-z]?")
EMOTIONS = {
    "w": "anger",
    "l": "boredom",
    "e": "disgust",
    "a": "fear",
    "f": "happiness",
    "t": "sadness",
    "n": "neutral",
}


def read(folder: Path) -> Iterator[Found]:
    return by_name("emodb", folder, NAME, EMOTIONS, Style.ACTED, "de", "wav/03a01Fa.wav")
