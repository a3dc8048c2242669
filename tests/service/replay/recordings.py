"""Recordings of noise, to replay."""

import numpy as np

from service.events import Track
from service.telephony.shared.recording import Recording


def recording(seconds: float = 0.5, tracks: int = 1, name: str = "a.wav") -> Recording:
    pcm = np.random.default_rng(7).integers(-9000, 9000, (int(seconds * 8000), tracks), np.int16)
    return Recording(name, (Track.CALLER, Track.AGENT)[:tracks], pcm)
