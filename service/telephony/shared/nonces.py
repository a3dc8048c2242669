"""Nonces of signed handshakes, each of which is accepted once."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple, Protocol, runtime_checkable

from service.telephony.shared.authenticator import Unauthorized


class UsedNonce(NamedTuple):
    """A nonce that must not be accepted again."""

    digest: bytes  # SHA-256, of one length whatever a client sends
    until: float  # in seconds since 1970; infinite where no time is signed


class Nonces:
    """The nonces that were used, of which the oldest are forgotten.

    Args:
        most: how many are remembered.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"got most {most}, expected at least 1")
        self.most = most
        self.on_used: Callable[[UsedNonce], None] = lambda _: None
        self._used: OrderedDict[bytes, float] = OrderedDict()  # until when, oldest first

    def __len__(self) -> int:
        """Returns how many are remembered."""
        return len(self._used)

    def use(self, nonce: str, now: float, until: float = float("inf")) -> None:
        """Remembers a nonce until a time, and calls `on_used` with it.

        Raises:
            Unauthorized: replayed, because it is remembered already.
        """
        while self._used and next(iter(self._used.values())) < now:
            self._used.popitem(last=False)
        digest = sha256(nonce.encode(errors="surrogatepass")).digest()
        if digest in self._used:
            raise Unauthorized("replayed")
        self._remember(UsedNonce(digest, until))
        self.on_used(UsedNonce(digest, until))

    def restore(self, used: Iterable[UsedNonce]) -> None:
        """Remembers nonces that were used before a restart, the oldest first."""
        for nonce in used:
            self._remember(nonce)

    def _remember(self, nonce: UsedNonce) -> None:
        if len(self._used) == self.most:
            self._used.popitem(last=False)
        self._used[nonce.digest] = nonce.until


@runtime_checkable
class RefusesReplays(Protocol):
    """An authenticator that accepts each nonce once."""

    nonces: Nonces
