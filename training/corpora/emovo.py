"""Reads EMOVO (Costantini et al. 2014): Italian, six actors, recorded in stereo."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

# Emotion (its Italian beginning), speaker, sentence.
NAME = re.compile(r"(?P<emotion>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>[fm]\d)-[a-z]+\d*")
EMOTIONS = {
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}


def read(folder: Path) -> Iterator[Found]:
    return by_name("emovo", folder, NAME, EMOTIONS, Style.ACTED, "it", "f1/dis-f1-b1.wav")
