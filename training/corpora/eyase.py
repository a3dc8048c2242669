"""Reads EYASE (Abdel-Hamid 2020): Egyptian Arabic, actors in a television series."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

NAME = re.compile(r"(?P<speaker>(?:Fem|M)ale\d{2})_(?P<emotion>ang|hap|sad|neu)_\d+")
EMOTIONS = {"ang": "anger", "hap": "happiness", "sad": "sadness", "neu": "neutral"}


def read(folder: Path) -> Iterator[Found]:
    example = "Female01_ang_01.wav"
    return by_name("eyase", folder, NAME, EMOTIONS, Style.SPONTANEOUS, "ar-EG", example)
