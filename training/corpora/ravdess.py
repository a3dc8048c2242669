"""Reads RAVDESS (Livingstone & Russo 2018): North American English, 24 actors, spoken and sung."""

import re
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import Found, by_name

# Modality, vocal channel, emotion, intensity, statement, repetition, actor.
NAME = re.compile(r"03-(?P<emotion>0[12]-0[1-8])-0[12]-0[12]-0[12]-(?P<speaker>\d{2})")
SPOKEN = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
EMOTIONS = {f"01-{code}": emotion for code, emotion in SPOKEN.items()} | {
    f"02-{code}": f"sung {emotion}" for code, emotion in SPOKEN.items()
}


def read(folder: Path) -> Iterator[Found]:
    example = "Actor_01/03-01-05-01-01-01-01.wav"
    return by_name("ravdess", folder, NAME, EMOTIONS, Style.ACTED, "en", example)
