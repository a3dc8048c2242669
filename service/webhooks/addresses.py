"""Which addresses a notice may go to: those outside of the private network, unless it is allowed.

The host is resolved at each attempt, each of its addresses is checked, and the connection goes to
an address that was checked: a name that resolves to another address later gains nothing.
"""

import asyncio
import socket
from concurrent.futures import Executor
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from service.webhooks.errors import AddressRefused

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Returns whether an address is one of the internet, whatever form of IPv6 it is in."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        elif address.teredo:
            inner = address.teredo[1]
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


async def addresses_of(host: str, port: int, executor: Executor, allow_private: bool) -> list[str]:
    """Returns the addresses of a host, in the resolver's order.

    Args:
        host: a name or an IP address.
        port: TCP port.
        executor: where the resolver may wait.
        allow_private: let every address pass.

    Raises:
        AddressRefused: one of them is not public.
        OSError: the host has no address, or the resolver does not answer.
    """
    found = await asyncio.get_running_loop().run_in_executor(
        executor, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    if not allow_private and not all(is_public(ip_address(address)) for address in addresses):
        raise AddressRefused
    return addresses
