"""Reads URDU (Latif et al. 2018): Urdu, people in television talk shows."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

# Speaker with gender, file of the speaker, emotion with the file's number among all of it.
NAME = re.compile(r"(?P<speaker>S[FM]\d+)_F\d+_(?P<emotion>[AHNS])\d+")
EMOTIONS = {"a": "anger", "h": "happiness", "n": "neutral", "s": "sadness"}


def read(folder: Path) -> Iterator[Found]:
    example = "Angry/SM1_F10_A010.wav"
    return by_name("urdu", folder, NAME, EMOTIONS, Style.SPONTANEOUS, "ur", example)
