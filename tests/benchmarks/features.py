"""Measures the cost of features from a stream against the library's for every window anew.

The bar: fed 20 ms at a time, `LogMelStream` costs at most 1/5 of `python_speech_features.logfbank`
on the last 7.5 s at every second of the same audio, both with the paper's features and with the
shipped model's. The cost of a window's functionals is measured as well.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
from python_speech_features import logfbank
from rich.table import Table

from model import SHIPPED
from model.artifact import load
from model.audio import FRAME_SAMPLES, SAMPLE_RATE, Pcm
from model.features import FeatureSpec, LogMelStream, log_mel
from model.speaker_baseline import SpeakerBaseline

SECONDS = 60
WINDOW = 60_000  # samples, 7.5 s
ROUNDS = 7
BAR = 0.2


def streamed(pcm: Pcm, spec: FeatureSpec) -> None:
    """Computes the features of a stream."""
    stream = LogMelStream(spec)
    for start in range(0, len(pcm), FRAME_SAMPLES):
        stream.feed(pcm[start : start + FRAME_SAMPLES])


def anew(pcm: Pcm, spec: FeatureSpec) -> None:
    """Computes the features of the last 7.5 s at every second, with the library."""
    for end in range(SAMPLE_RATE, len(pcm) + 1, SAMPLE_RATE):
        logfbank(pcm[max(0, end - WINDOW) : end], SAMPLE_RATE, nfilt=spec.n_mels, nfft=spec.n_fft)


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def tables() -> Iterator[Table]:
    """Yields the table. Rounds alternate, so that all run under the same load; the best counts."""
    plain, shipped = FeatureSpec(), load(SHIPPED).meta.features
    pcm = (np.random.default_rng(0).standard_normal(SECONDS * SAMPLE_RATE) * 1000).astype(np.int16)
    window, baseline = log_mel(pcm[:WINDOW], shipped), SpeakerBaseline(shipped)
    rounds = [
        (
            seconds(lambda: anew(pcm, plain)),
            seconds(lambda: streamed(pcm, plain)),
            seconds(lambda: streamed(pcm, shipped)),
            seconds(lambda: baseline.features(window)),
        )
        for _ in range(ROUNDS)
    ]
    library_s, plain_s, shipped_s, functionals_s = (
        min(times) for times in zip(*rounds, strict=True)
    )
    bar = f"bar: at most {BAR}"
    table = Table("of one second of a call", "ms", "of the library's", title="Features")
    table.add_row("logfbank of the last 7.5 s, once", f"{library_s / SECONDS * 1000:.2f}", "")
    for name, stream_s in (
        (f"{plain.n_mels} log-mel energies", plain_s),
        (f"and {shipped.pitch_lags} autocorrelations, the shipped model's", shipped_s),
    ):
        table.add_row(
            f"LogMelStream, fed 20 ms at a time: {name}",
            f"{stream_s / SECONDS * 1000:.2f}",
            f"{stream_s / library_s:.3f} ({bar})",
        )
    table.add_section()
    table.add_row("functionals of a window of 7.5 s", f"{functionals_s * 1000:.2f}", "")
    yield table
