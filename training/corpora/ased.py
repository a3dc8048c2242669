"""Reads ASED (Retta et al. 2023): Amharic, 65 volunteers."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

# Emotion with the number of its folder, sentence, repetition, gender, speaker.
NAME = re.compile(r"(?P<emotion>[nfhsa])\d-\d{2}-\d{2}-\d{2}-(?P<speaker>\d{2})")
EMOTIONS = {"n": "neutral", "f": "fear", "h": "happiness", "s": "sadness", "a": "anger"}


def read(folder: Path) -> Iterator[Found]:
    example = "01Neutral/n1-01-01-01-01.wav"
    return by_name("ased", folder, NAME, EMOTIONS, Style.ACTED, "am", example)
