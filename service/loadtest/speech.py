"""What the callers of a load test say: real utterances, with pauses between them."""

from collections.abc import Sequence

import numpy as np

from model.audio import SAMPLE_RATE, Pcm
from model.gate import HOP_SAMPLES, GateSpec, speech_spans
from service.errors import KanjoError
from service.events import Track
from service.telephony.shared.recording import Recording

LEAST_S = 0.5  # a shorter utterance gives no reading
PAUSE_SPREAD = (0.5, 1.5)  # of a pause, times what its utterance's talk share asks for
LINE_NOISE = 4  # largest sample of an open line on which nobody speaks


class NoSpeech(KanjoError):
    """The recordings contain no utterance of `LEAST_S` seconds."""

    def __init__(self, recordings: int) -> None:
        super().__init__(recordings)
        self.recordings = recordings

    def __str__(self) -> str:
        return f"got {self.recordings} recordings, expected speech of {LEAST_S:g} s in one of them"


def utterances(recordings: Sequence[Recording], gate: GateSpec | None = None) -> list[Pcm]:
    """Returns what the callers of recordings say, as the speech gate finds it: int16 (n,) each.

    Raises:
        NoSpeech: there is no utterance in any of them.
    """
    spec = gate or GateSpec()
    found = []
    for recording in recordings:
        caller = np.ascontiguousarray(recording.pcm[:, recording.tracks.index(Track.CALLER)])
        for span in speech_spans(caller, spec):
            spoken = caller[span.start * HOP_SAMPLES : span.end * HOP_SAMPLES]
            if len(spoken) >= LEAST_S * SAMPLE_RATE:
                found.append(spoken)
    if not found:
        raise NoSpeech(len(recordings))
    return found


def tape(spoken: Sequence[Pcm], talk: float, least_s: float, frame_samples: int, seed: int) -> Pcm:
    """Returns one caller's audio, (n, 1) int16 at 8 kHz, which can be played in a circle.

    Args:
        spoken: utterances, of which each seed draws others in another order.
        talk: share of the time in which the caller speaks, 0 to 1; the pauses that follow the
            utterances are spread around what gives it, and it is met to the sample's rounding.
        least_s: the tape is at least so long.
        frame_samples: the length is a multiple of it.
        seed: decides everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    drawn: list[Pcm] = []
    least = round(least_s * SAMPLE_RATE)
    while talk and sum(map(len, drawn)) < least * talk:
        drawn.append(spoken[int(rng.integers(len(spoken)))])
    speech = sum(map(len, drawn))
    silence = round(speech * (1 - talk) / talk) if talk else least
    total = -(-(speech + silence) // frame_samples) * frame_samples
    lengths = np.array([len(each) for each in drawn] or [1], np.float64)
    shares = lengths * rng.uniform(*PAUSE_SPREAD, len(lengths))
    ends = np.rint(np.cumsum(shares / shares.sum()) * (total - speech)).astype(int)
    pauses = np.diff(ends, prepend=0)
    pcm = rng.integers(-LINE_NOISE, LINE_NOISE + 1, total, np.int16)
    at = 0
    for each, pause in zip(drawn, pauses.tolist(), strict=False):
        pcm[at : at + len(each)] = each
        at += len(each) + pause
    return pcm[:, np.newaxis]
