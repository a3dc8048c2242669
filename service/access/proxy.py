"""A proxy that logs people in and names them in a header."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

import structlog

from service.access.identity import PROXY, Identity, Presented
from service.access.roles import Role
from service.logs import EntryLimit

log = structlog.get_logger()

MAX_NAME_CHARS = 256


class ProxyHeader:
    """Knows whom a proxy names, if the connection comes from the proxy's own address.

    From any other address the header is ignored, because everybody can send it.

    Args:
        header: in which the proxy names who is asking; the proxy must remove a client's own.
        networks: the addresses of the proxy.
        role: of all whom it names.
        warnings: limits the log entries about headers that are not believed.
    """

    def __init__(
        self,
        header: str,
        networks: Iterable[IPv4Network | IPv6Network],
        role: Role,
        warnings: EntryLimit | None = None,
    ) -> None:
        self._header = header.lower()
        self._networks = tuple(networks)
        self._role = role
        self._warnings = warnings or EntryLimit(most=1)

    def identify(self, presented: Presented, now: float) -> Identity | None:
        """Returns whom the proxy names, or None if it is not the proxy or names nobody."""
        name = presented.headers.get(self._header, "").strip()
        if not name or presented.peer is None:
            return None
        if not self._is_proxy(presented.peer):
            self._warn("not from KANJO_PROXY_ADDRESSES", presented.peer)
            return None
        # A header that came twice is joined with a comma: the proxy left a client's own in place.
        if "," in name or len(name) > MAX_NAME_CHARS:
            self._warn("not one name: the proxy must replace a client's header", presented.peer)
            return None
        return Identity(name, self._role, PROXY)

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:  # of a socket for both
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _warn(self, reason: str, peer: str) -> None:
        dropped = self._warnings.admit(reason)
        if dropped is not None:
            more = {"dropped": dropped} if dropped else {}
            log.warning("proxy_header_ignored", reason=reason, peer=peer, **more)
