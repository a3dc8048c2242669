import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import pytest

from service.webhooks.addresses import addresses_of, is_public
from service.webhooks.errors import AddressRefused

PRIVATE = [
    *("10.0.0.1", "172.16.9.9", "192.168.1.1", "127.0.0.1", "127.8.8.8", "169.254.169.254"),
    *("100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.1.1", "192.0.2.1", "240.0.0.1"),
    *("::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff0e::1", "2001:db8::1"),
    *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("2002:7f00:1::", "2002:a00:1::1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_no_public_network_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "203.1.113.1", "2606:4700::1", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that every name has."""
    addresses: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return addresses


async def test_one_private_address_among_public_ones_is_enough_to_refuse(
    resolved: list[str],
) -> None:
    resolved.extend(["8.8.8.8", "10.0.0.1"])
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(AddressRefused, match="allow_private = true"):
            await addresses_of("example.org", 443, executor, False)
        assert await addresses_of("example.org", 443, executor, True) == resolved
        resolved.pop()
        assert await addresses_of("example.org", 443, executor, False) == ["8.8.8.8"]


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost"])
async def test_other_spellings_of_loopback_are_refused(host: str) -> None:
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(AddressRefused):
            await addresses_of(host, 443, executor, False)
    await asyncio.sleep(0)
