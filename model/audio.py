"""Telephone audio: G.711 to and from linear PCM, and any sample rate to 8 kHz.

G.711 is decoded by a table of its 256 code words, at 16-bit scale (mu-law peaks at 32,124, A-law
at 32,256).
"""

import numpy as np
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 8000  # Hz, of all audio that the gate and the network are given
# A telephone frame: what most providers send in one message. (A frame of features is another
# thing: `FeatureSpec.frame_samples`.)
FRAME_S = 0.02
FRAME_SAMPLES = 160

Pcm = NDArray[np.int16]


def _mulaw_table() -> Pcm:
    code = ~np.arange(256, dtype=np.uint8)
    exponent = (code >> 4 & 0x07).astype(np.int32)
    mantissa = (code & 0x0F).astype(np.int32)
    magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_table() -> Pcm:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = (code >> 4 & 0x07).astype(np.int32)
    mantissa = (code & 0x0F).astype(np.int32)
    step = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, step, (step + 0x100) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _nearest_codes(table: Pcm) -> NDArray[np.uint8]:
    """Returns, for every int16 value viewed as uint16, the code word that decodes nearest to it."""
    # Mu-law has two zeros; the later code word, 0xFF, is the one that a silent line carries.
    codes = 255 - np.argsort(table[::-1], kind="stable")
    levels = table[codes].astype(np.int32)
    borders = (levels[1:] + levels[:-1]) / 2
    values = np.arange(65536, dtype=np.uint16).view(np.int16)
    return codes[np.searchsorted(borders, values)].astype(np.uint8)


_MULAW = _mulaw_table()
_ALAW = _alaw_table()
_TO_MULAW = _nearest_codes(_MULAW)
_TO_ALAW = _nearest_codes(_ALAW)


def mulaw_decode(data: bytes | NDArray[np.uint8]) -> Pcm:
    """Decodes G.711 mu-law code words (n,) to int16 samples (n,)."""
    return _MULAW[np.frombuffer(data, np.uint8)]


def alaw_decode(data: bytes | NDArray[np.uint8]) -> Pcm:
    """Decodes G.711 A-law code words (n,) to int16 samples (n,)."""
    return _ALAW[np.frombuffer(data, np.uint8)]


def mulaw_encode(pcm: Pcm) -> NDArray[np.uint8]:
    """Encodes int16 samples (n,) as the nearest mu-law code words (n,)."""
    assert pcm.dtype == np.int16, pcm.dtype
    return _TO_MULAW[pcm.view(np.uint16)]


def alaw_encode(pcm: Pcm) -> NDArray[np.uint8]:
    """Encodes int16 samples (n,) as the nearest A-law code words (n,)."""
    assert pcm.dtype == np.int16, pcm.dtype
    return _TO_ALAW[pcm.view(np.uint16)]


class Resampler:
    """Brings one track to 8 kHz piece by piece: the samples do not depend on how it is cut."""

    def __init__(self, rate: int) -> None:
        # In float, because soxr dithers int16, which depends on the pieces.
        self._stream = (
            None
            if rate == SAMPLE_RATE
            else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="VHQ")
        )

    def feed(self, pcm: Pcm, *, last: bool = False) -> Pcm:
        """Returns the samples at 8 kHz that are final by now; with `last`, all that are left."""
        if self._stream is None:
            return pcm
        levels = self._stream.resample_chunk(pcm.astype(np.float32), last)
        resampled: Pcm = np.rint(levels).clip(-32768, 32767).astype(np.int16)
        return resampled


def quantised(samples: NDArray[np.float32]) -> Pcm:
    """Scales samples from -1 to 1, of any shape, to int16; libsndfile does not for float files."""
    return np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16)


def resample(pcm: Pcm, rate: int) -> Pcm:
    """Resamples a whole recording at `rate` Hz to 8 kHz."""
    return Resampler(rate).feed(pcm, last=True)
