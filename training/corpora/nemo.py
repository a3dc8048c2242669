"""Reads nEMO (Christop 2024): Polish, nine actors."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

WORDS = ("anger", "fear", "happiness", "neutral", "sadness", "surprised", "surprise")
# Speaker, emotion, sentence.
NAME = re.compile(rf"(?P<speaker>[A-Z]{{2}}\d)_(?P<emotion>{'|'.join(WORDS)})_\d+")
EMOTIONS = {word: word for word in WORDS}


def read(folder: Path) -> Iterator[Found]:
    return by_name("nemo", folder, NAME, EMOTIONS, Style.ACTED, "pl", "samples/EB0_anger_1.wav")
