"""Which Host and Origin are the service's own."""

import pytest

from service.access.origin import ForeignHost, ForeignOrigin, OwnAddresses

OWN = OwnAddresses("kanjo.internal", ["https://kanjo.example", "http://kanjo:8000"])


@pytest.mark.parametrize(
    "host",
    [
        None,  # HTTP/1.0, as of a load balancer's health checks; browsers always send one
        *("127.0.0.1", "127.0.0.1:8000", "10.1.2.3:8000", "[::1]:8000", "[fe80::1]"),
        *("localhost", "localhost:8000", "LOCALHOST:8000", "localhost.:8000"),
        *("kanjo.internal:8000", "kanjo.example", "kanjo.example:443", "kanjo:8000", "KANJO:8000"),
    ],
)
def test_an_own_host_is_accepted(host: str | None) -> None:
    OWN.check(host, None)


@pytest.mark.parametrize(
    "host",
    [
        *("rebound.example", "rebound.example:8000", "kanjo.example.evil.example", "xkanjo:8000"),
        *("127.0.0.1.nip.io", "localhost.evil.example:8000", "2130706433.evil", "0x7f.1.evil:80"),
        *(
            "",
            ":8000",
            "kanjo:port",
            "[::1",
            "user@evil.example",
            "a b",
            "kanjo,evil",
            "evil/kanjo",
        ),
    ],
)
def test_another_host_is_refused(host: str) -> None:
    with pytest.raises(ForeignHost, match=r"KANJO_PUBLIC_URL$"):
        OWN.check(host, None)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("kanjo.example", "https://kanjo.example"),
        ("kanjo.example", "https://kanjo.example:443"),
        ("127.0.0.1:8000", "https://kanjo.example"),  # behind a proxy that sets its own Host
        ("kanjo:8000", "http://kanjo:8000"),
    ],
)
def test_the_origin_of_an_own_page_is_accepted(host: str, origin: str) -> None:
    OWN.check(host, origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8000", "http://evil.example"),
        ("127.0.0.1:8000", "http://127.0.0.1:3000"),
        ("127.0.0.1:8000", "http://127.0.0.1"),
        ("127.0.0.1:8000", "http://localhost:8000"),
        ("127.0.0.1:8000", "null"),
        ("127.0.0.1:8000", ""),
        ("127.0.0.1:8000", "http://127.0.0.1:8000,http://evil.example"),
        ("127.0.0.1:8000", "file://"),
        ("kanjo.example", "https://kanjo.example:8443"),
        ("kanjo.example", "https://kanjo.example.evil.example"),
        (None, "https://evil.example"),
    ],
)
def test_the_origin_of_another_page_is_refused(host: str | None, origin: str) -> None:
    with pytest.raises(ForeignOrigin, match=r"KANJO_PUBLIC_URL$"):
        OWN.check(host, origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [("10.0.0.5", "http://10.0.0.5"), ("10.0.0.5", "http://10.0.0.5:8000")],
)
def test_a_media_server_may_leave_the_port_out(host: str, origin: str) -> None:
    OWN.check(host, origin, any_port=True)
    with pytest.raises(ForeignOrigin):
        OWN.check(host, "http://10.0.0.6", any_port=True)
