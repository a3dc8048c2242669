"""Which host names and which pages' origins are the service's own.

A page of another site that a browser has open can send requests to whatever its user can reach.
Two headers, which a page cannot forge, tell such a request apart. `Origin` names the page (RFC
6454). `Host` names the service as the page did: a host name whose owner lets it point at this
service ("DNS rebinding") makes the page's origin the same as the service's, but remains in `Host`.
"""

from collections.abc import Collection, Iterable
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from service.errors import KanjoError

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class ForeignHost(KanjoError):
    """A request names a host that is not the service's."""

    def __str__(self) -> str:
        return (
            "got a Host that is not the service's, "
            "expected its IP address, localhost or a host of KANJO_PUBLIC_URL"
        )


class ForeignOrigin(KanjoError):
    """A page of another site has sent a request."""

    def __str__(self) -> str:
        return (
            "got an Origin that is not the service's, "
            "expected that of its own page or one of KANJO_PUBLIC_URL"
        )


class Authority(NamedTuple):
    """Host and port of a URL; no port is the scheme's own."""

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "Authority | None":
        """Returns the authority of a URL or of a Host header; None if it has none."""
        try:
            parts = urlsplit(text if "://" in text else f"//{text}")
            port = parts.port
        except ValueError:
            return None
        if not parts.hostname:
            return None
        default = {DEFAULT_PORTS.get(parts.scheme)} if parts.scheme else {80, 443}
        return cls(parts.hostname.rstrip("."), None if port in default else port)


class OwnAddresses:
    """The addresses at which the service is called.

    An IP address can be nobody's rebound name, so every one is right, and so is localhost.

    Args:
        listens_at: the address that the service listens at.
        public_urls: further ones, such as those of a proxy.
    """

    def __init__(self, listens_at: str, public_urls: Iterable[str] = ()) -> None:
        named = (Authority.parse(url) for url in public_urls)
        self._public: Collection[Authority] = {authority for authority in named if authority}
        self._names = {listens_at.lower(), "localhost", *(own.host for own in self._public)}

    def check(self, host: str | None, origin: str | None, *, any_port: bool = False) -> None:
        """Returns if both headers of a request are the service's; a missing header is.

        Args:
            host: the header `Host`. Browsers always send it.
            origin: the header `Origin`. Browsers send it with all but plain GETs.
            any_port: whether an origin without a port, or beside a `Host` without one, is right.
                Some telephony clients leave the port out, and browsers never do.

        Raises:
            ForeignHost, ForeignOrigin: one of them is another's.
        """
        called = None if host is None else Authority.parse(host)
        if host is not None and not (called and self._is_own(called.host)):
            raise ForeignHost
        if origin is None:
            return
        page = Authority.parse(origin) if "://" in origin else None
        if page is None:
            raise ForeignOrigin
        if page == called or page in self._public:
            return
        if any_port and called and page.host == called.host and None in (called.port, page.port):
            return
        raise ForeignOrigin

    def _is_own(self, host: str) -> bool:
        if host in self._names:
            return True
        try:
            ip_address(host)
        except ValueError:
            return False
        return True
