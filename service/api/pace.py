"""How fast a client may send: about real time, after a burst."""

import math
from collections.abc import Iterable

from service.events import Audio, CallStarted, Event, Gap, Track

# More than any provider sends in real time: two tracks of 5 ms frames; 48 kHz stereo in base64.
MESSAGES_PER_S = 500.0
BYTES_PER_S = 524_288.0
GAP_S = 0.1  # what a gap counts at most: a longer one costs no work


class Allowance:
    """A token bucket: it fills by `rate` a second up to `most`, and may be overdrawn once."""

    def __init__(self, rate: float, most: float, now_s: float) -> None:
        self._rate = rate
        self._most = self._left = most
        self._at_s = now_s

    def spend(self, amount: float, now_s: float) -> float:
        """Takes an amount; returns the seconds after which there is something left again."""
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._rate) - amount
        self._at_s = now_s
        return max(0.0, -self._left / self._rate)


class Pace:
    """Holds one connection to a speed: what comes faster is to be read later.

    Args:
        speed: seconds of audio of a track in a second, for long.
        burst_s: seconds of audio that may come at once, after a stall or as a catch-up.
        now_s: the present time on a clock in seconds.
    """

    def __init__(self, speed: float, burst_s: float, now_s: float) -> None:
        self._speed = speed
        self._burst_s = burst_s
        self._messages = Allowance(MESSAGES_PER_S, MESSAGES_PER_S * burst_s, now_s)
        self._bytes = Allowance(BYTES_PER_S, BYTES_PER_S * burst_s, now_s)
        self._sample_rate = math.inf  # Hz; until the call starts there is no audio
        self._tracks: dict[Track, Allowance] = {}
        self.ready_s = now_s  # when the next message may be read

    def receive(self, message: str | bytes, events: Iterable[Event], now_s: float) -> None:
        """Counts a message and the events in it; moves `ready_s` on if they came too fast."""
        wait_s = max(self._messages.spend(1, now_s), self._bytes.spend(len(message), now_s))
        for event in events:
            match event:
                case CallStarted():
                    self._sample_rate = event.sample_rate
                case Audio(track, pcm):
                    seconds = len(pcm) / self._sample_rate
                    wait_s = max(wait_s, self._allowance(track, now_s).spend(seconds, now_s))
                case Gap(track, samples):
                    seconds = min(GAP_S, samples / self._sample_rate)
                    wait_s = max(wait_s, self._allowance(track, now_s).spend(seconds, now_s))
        self.ready_s = now_s + wait_s

    def _allowance(self, track: Track, now_s: float) -> Allowance:
        if track not in self._tracks:
            self._tracks[track] = Allowance(self._speed, self._burst_s, now_s)
        return self._tracks[track]
