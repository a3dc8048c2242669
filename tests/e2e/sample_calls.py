"""Makes the bundled sample calls: `KANJO_CORPORA=... python -m tests.e2e.sample_calls`.

Both voices are speakers of EMO-DB on whom the shipped model was not trained: the caller, left, is
speaker 10; the agent, right and happy throughout, is speaker 12.
"""

import os
from collections.abc import Sequence

import numpy as np
import soundfile

from model.audio import SAMPLE_RATE, Pcm
from tests.paths import SAMPLES
from training.data.manifest import folders_of, manifests_in

NEUTRAL = ("10a01Nb", "10a02Na", "10a04Nb", "10b02Na")  # all there are of speaker 10
ANGER = ("10a01Wa", "10a02Wa", "10a04Wa", "10a04Wb", "10a05Wb", "10a07Wb")  # the first of ten
AGENT = ("12a01Fb", "12b02Fb")

# Utterances of the caller; an utterance of the agent follows every third one.
CALLS = {
    "neutral": (*NEUTRAL, *NEUTRAL[::-1]),
    "sounds-angry": (*NEUTRAL[2:], *ANGER, *NEUTRAL),
    "sounds-angry-once": (*NEUTRAL[:3], ANGER[0], *NEUTRAL),
}

PAUSE_S = 0.8
# A telephone line is never digitally silent.
LINE_NOISE = 4.0  # of 32768, standard deviation


def call(caller: Sequence[Pcm], agent: Sequence[Pcm]) -> Pcm:
    """Returns a call (n, 2): caller left, agent right, one after the other."""
    turns: list[tuple[int, Pcm]] = []
    for i, utterance in enumerate(caller):
        turns.append((0, utterance))
        if i % 3 == 2:
            turns.append((1, agent[i // 3 % len(agent)]))
    pause = round(PAUSE_S * SAMPLE_RATE)
    samples = pause + sum(len(utterance) + pause for _, utterance in turns)
    noise = np.random.default_rng(0).normal(0, LINE_NOISE, (samples, 2))
    at = pause
    for channel, utterance in turns:
        noise[at : at + len(utterance), channel] += utterance
        at += len(utterance) + pause
    return noise.round().clip(-32768, 32767).astype(np.int16)


def main() -> None:
    manifests = manifests_in(folders_of(os.environ["KANJO_CORPORA"]))
    corpus = next(path.parent for path in manifests if path.parent.name == "emodb")

    def read(names: Sequence[str]) -> list[Pcm]:
        return [soundfile.read(corpus / f"{name}.flac", dtype="int16")[0] for name in names]

    for name, utterances in CALLS.items():
        soundfile.write(SAMPLES / f"{name}.flac", call(read(utterances), read(AGENT)), SAMPLE_RATE)


if __name__ == "__main__":
    main()
