"""The round trip of samples, int16 (n,), through G.711."""

from model.audio import Pcm, alaw_decode, alaw_encode, mulaw_decode, mulaw_encode


def mulaw(pcm: Pcm) -> Pcm:
    """Returns the samples after mu-law encoding and decoding."""
    return mulaw_decode(mulaw_encode(pcm))


def alaw(pcm: Pcm) -> Pcm:
    """Returns the samples after A-law encoding and decoding."""
    return alaw_decode(alaw_encode(pcm))
