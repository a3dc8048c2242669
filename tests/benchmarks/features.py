"""What features cost as a stream, beside computing each window's anew with the library.

The bar: fed 20 ms at a time, `LogMelStream` costs at most 1/5 of `python_speech_features.logfbank`
on the last 7.5 s at every second of the same audio.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
from python_speech_features import logfbank
from rich.table import Table

from model.audio import SAMPLE_RATE, Pcm
from model.features import FeatureSpec, LogMelStream

SECONDS = 60
PIECE = SAMPLE_RATE // 50  # 20 ms
WINDOW = 60_000  # samples, 7.5 s
ROUNDS = 7
BAR = 0.2


def streamed(pcm: Pcm, spec: FeatureSpec) -> None:
    stream = LogMelStream(spec)
    for start in range(0, len(pcm), PIECE):
        stream.feed(pcm[start : start + PIECE])


def anew(pcm: Pcm, spec: FeatureSpec) -> None:
    for end in range(SAMPLE_RATE, len(pcm) + 1, SAMPLE_RATE):
        logfbank(pcm[max(0, end - WINDOW) : end], SAMPLE_RATE, nfilt=spec.n_mels, nfft=spec.n_fft)


def seconds(run: Callable[[Pcm, FeatureSpec], None], pcm: Pcm, spec: FeatureSpec) -> float:
    began = time.perf_counter()
    run(pcm, spec)
    return time.perf_counter() - began


def tables() -> Iterator[Table]:
    """Rounds in turn, so that both meet the same machine; each one's best counts."""
    spec = FeatureSpec()
    pcm = (np.random.default_rng(0).standard_normal(SECONDS * SAMPLE_RATE) * 1000).astype(np.int16)
    rounds = [(seconds(streamed, pcm, spec), seconds(anew, pcm, spec)) for _ in range(ROUNDS)]
    stream_s, library_s = (min(times) for times in zip(*rounds, strict=True))
    table = Table("log-mel of one second of a call", "ms", title="Features")
    table.add_row("LogMelStream, fed 20 ms at a time", f"{stream_s / SECONDS * 1000:.2f}")
    table.add_row("logfbank of the last 7.5 s, once", f"{library_s / SECONDS * 1000:.2f}")
    table.add_section()
    table.add_row("ratio", f"{stream_s / library_s:.3f} (bar: at most {BAR})")
    yield table
