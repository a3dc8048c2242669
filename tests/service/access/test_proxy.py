from ipaddress import ip_network

import pytest
from structlog.testing import capture_logs

from service.access.identity import Identity, Presented
from service.access.proxy import ProxyHeader
from service.access.roles import Role

NETWORKS = [ip_network(text) for text in ("10.0.0.5", "10.1.0.0/24", "fd00::/64")]


def named(peer: str | None, name: str = "ada") -> Identity | None:
    source = ProxyHeader("X-Forwarded-User", NETWORKS, Role.OPERATOR)
    return source.identify(Presented({"x-forwarded-user": name}, {}, peer), 0)


@pytest.mark.parametrize("peer", ["10.0.0.5", "10.1.0.77", "::ffff:10.0.0.5", "fd00::1"])
def test_the_proxy_names_who_is_asking(peer: str) -> None:
    assert named(peer) == Identity("ada", Role.OPERATOR, "proxy")
    assert named(peer, "") is None


@pytest.mark.parametrize(
    "peer", ["10.0.0.6", "127.0.0.1", "::ffff:10.0.0.6", "fd01::1", "unknown", "", None]
)
def test_nobody_else_does(peer: str | None) -> None:
    assert named(peer) is None


@pytest.mark.parametrize("name", ["ada, bob", "ada,bob", "a" * 257])
def test_what_is_not_one_name_is_not_believed(name: str) -> None:
    assert named("10.0.0.5", name) is None


def test_whatever_strangers_send_one_warning_a_minute_is_logged() -> None:
    source = ProxyHeader("X-Forwarded-User", NETWORKS, Role.VIEWER)
    with capture_logs() as entries:
        for last in range(100):
            source.identify(Presented({"x-forwarded-user": "ada"}, {}, f"192.0.2.{last}"), 0)
        source.identify(Presented({}, {}, "192.0.2.1"), 0)
    assert [entry["event"] for entry in entries] == ["proxy_header_ignored"]
    assert "ada" not in str(entries)
