"""Watches the beginning of a live stream for audio that can't be analysed as it was meant."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from service.events import Audio, Event, Pcm, Track

MAX_DROPPED = 50  # messages without any audio: a second of what most providers send
BLOCK_S = 1.0
NOISE_BLOCKS = 3
FULL_LEVEL = 4_000.0  # RMS; telephone speech is rarely as loud for a second
SOUND_LEVEL = 300.0  # RMS; quieter blocks show nothing
# How much a signal correlates with itself one and two samples later. Bytes in the wrong order are
# white; companded speech that is read as L16 is not, but always louder than speech can be.
WHITE = 0.3
COMPANDED = 0.7
COMPANDED_LEVEL = 14_000.0  # RMS


UnusableReason = Literal["dropped", "noise"]


class UnusableAudio(NamedTuple):
    """Why a stream's audio can't be analysed."""

    reason: UnusableReason
    text: str


class AudioWatch:
    """Finds out whether a stream can be analysed; `done` once that is known.

    A stream whose messages are all dropped is unusable. So is one of nothing but noise at full
    level: it was decoded in another encoding or byte order than it was sent in.

    Args:
        sample_rate: of the stream, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.done = False
        self._block = round(BLOCK_S * sample_rate)
        self._pieces: dict[Track, list[Pcm]] = {}
        self._samples: dict[Track, int] = {}
        self._noise_blocks = 0

    def receive(self, events: Iterable[Event], errors: Mapping[str, int]) -> UnusableAudio | None:
        """Returns the problem that the next events show; `errors` are all so far, by code."""
        if self.done:
            return None
        for event in events:
            if isinstance(event, Audio) and len(event.pcm):
                self._measure(event)
        if self._noise_blocks >= NOISE_BLOCKS:
            self.done = True
            text = "got noise at full level, expected speech: check encoding and byte order"
            return UnusableAudio("noise", text)
        if not self._pieces and sum(errors.values()) >= MAX_DROPPED:
            return self._all_dropped(errors)
        return None

    def ended(self, errors: Mapping[str, int]) -> UnusableAudio | None:
        """Returns the problem of a stream that ends now."""
        return self._all_dropped(errors) if not self._pieces and not self.done and errors else None

    def _all_dropped(self, errors: Mapping[str, int]) -> UnusableAudio:
        self.done = True
        counts = ", ".join(f"{code} {count}" for code, count in Counter(errors).most_common(3))
        return UnusableAudio(
            "dropped", f"got no audio that can be used, dropped messages: {counts}"
        )

    def _measure(self, audio: Audio) -> None:
        pieces = self._pieces.setdefault(audio.track, [])
        pieces.append(audio.pcm)
        samples = self._samples.get(audio.track, 0) + len(audio.pcm)
        if samples >= self._block:
            self._judge(np.concatenate(pieces))
            pieces.clear()
            samples = 0
        self._samples[audio.track] = samples

    def _judge(self, block: Pcm) -> None:
        signal = block.astype(np.float32)
        power = float(np.mean(signal * signal))
        if power < SOUND_LEVEL**2:
            return
        one, two = (float(np.mean(signal[lag:] * signal[:-lag])) / power for lag in (1, 2))
        if max(abs(one), abs(two)) < WHITE:
            self._noise_blocks += power >= FULL_LEVEL**2
        elif power >= COMPANDED_LEVEL**2 and 0 < one < COMPANDED and two > 0:
            self._noise_blocks += 1
        else:
            self.done = True
