"""The one decision who sends a request."""

import time
from collections.abc import Callable, Mapping, Sequence

from service.access.identity import ANONYMOUS, LOCAL, Identity, Presented, Source


class Access:
    """Knows who sends a request, from the first source that can tell.

    While access is open everybody is `LOCAL`, who may do everything except send calls as a bridge:
    bridges decide that themselves.

    Args:
        sources: asked in this order.
        is_open: whether everybody gets in: the service listens on loopback, has no public address,
            no token was ever created and no other source is set up.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        is_open: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = tuple(sources)
        self._is_open = is_open
        self._clock = clock

    @property
    def open(self) -> bool:
        """Returns whether everybody gets in without credentials."""
        return self._is_open()

    def identify(
        self,
        headers: Mapping[str, str],
        cookies: Mapping[str, str] | None = None,
        peer: str | None = None,
    ) -> Identity:
        """Returns who sends a request with these headers (names in lower case) and cookies.

        `peer` is the address from which the connection comes. Nobody known is `ANONYMOUS`.
        """
        if self._is_open():
            return LOCAL
        presented = Presented(headers, cookies or {}, peer)
        now = self._clock()
        for source in self._sources:
            identity = source.identify(presented, now)
            if identity is not None:
                return identity
        return ANONYMOUS
