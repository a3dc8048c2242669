"""What G.711 leaves of samples, int16 (n,)."""

from model.audio import Pcm, alaw_decode, alaw_encode, mulaw_decode, mulaw_encode


def mulaw(pcm: Pcm) -> Pcm:
    return mulaw_decode(mulaw_encode(pcm))


def alaw(pcm: Pcm) -> Pcm:
    return alaw_decode(alaw_encode(pcm))
