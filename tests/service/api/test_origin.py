"""Requests that pages of other sites send, to every route of the real service."""

import json
import socket
from collections.abc import Iterator

import pytest
from starlette.routing import BaseRoute, Mount, Route, Router, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from service.telephony.providers import PROVIDERS
from tests.service.api.conftest import Running, running, until

FOREIGN = [
    ({"Host": "rebound.example:8000"}, 421),
    ({"Host": "rebound.example", "Origin": "http://rebound.example"}, 421),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
]
NATIVE_TOKEN = "native token of this test"


def http_routes(server: Running) -> Iterator[tuple[str, str]]:
    """Yields method and path of each route and each mounted folder."""
    for route in all_routes(server.app.router):
        if isinstance(route, Route):
            path = route.path.replace("{call_id:path}", "c1")
            yield from ((method, path) for method in sorted(route.methods or ()))
        elif isinstance(route, Mount):
            yield "GET", f"{route.path}/"
        else:
            assert isinstance(route, WebSocketRoute)


def called(
    server: Running,
    host: str,
    path: str,
    origin: str | None,
    headers: dict[str, str] | None = None,
) -> ClientConnection:
    """Connects to the server as a client that calls it `host`."""
    address, _, port = server.address.rpartition(":")
    return connect(
        f"ws://{host}{path}",
        sock=socket.create_connection((address, int(port))),
        origin=None if origin is None else Origin(origin),
        additional_headers=headers,
        compression=None,
    )


def all_routes(router: Router) -> Iterator[BaseRoute]:
    """Yields the routes of a router and of those that are included in it."""
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from all_routes(included)


@pytest.mark.parametrize(("headers", "status"), FOREIGN)
def test_no_route_answers_a_foreign_page(
    service: Running, headers: dict[str, str], status: int
) -> None:
    routes = [*http_routes(service), ("GET", "/no/such/path"), ("OPTIONS", "/classify")]
    assert len(routes) > 15
    with service.client() as client:
        for method, path in routes:
            response = client.request(method, path, headers=headers)
            assert response.status_code == status, (method, path)
            if method != "HEAD":
                problem = response.json()
                assert problem["status"] == status
                assert problem["detail"].endswith("one of KANJO_PUBLIC_URL") or status == 421
                assert "evil.example" not in response.text


@pytest.mark.parametrize("path", [*(f"/calls/{name}" for name in PROVIDERS), "/anything"])
@pytest.mark.parametrize(("headers", "status"), FOREIGN)
def test_no_open_websocket_accepts_a_foreign_page(
    service: Running, path: str, headers: dict[str, str], status: int
) -> None:
    host = headers.get("Host", service.address)
    with (
        pytest.raises(InvalidStatus) as refusal,
        called(service, host, path, headers.get("Origin")),
    ):
        pass
    assert refusal.value.response.status_code == status


def test_a_foreign_page_cannot_forge_a_call(service: Running) -> None:
    with pytest.raises(InvalidStatus), service.socket(origin="http://evil.example"):
        pass
    with service.socket(origin=f"http://{service.address}") as page:  # of the service
        page.send(json.dumps({"type": "hello"}))
        assert "error" in str(page.recv())


def test_a_bridge_with_credentials_accepts_any_origin_and_host() -> None:
    with running(native_token=NATIVE_TOKEN) as server:
        until(server.services.warm.is_set)
        right = {"Authorization": f"Bearer {NATIVE_TOKEN}"}
        with called(server, "voice.example", "/calls/native", "http://media.example", right):
            pass
        with (
            pytest.raises(InvalidStatus) as refusal,
            called(server, "voice.example", "/calls/native", "http://media.example"),
        ):
            pass
        assert refusal.value.response.status_code == 401


def test_the_public_url_names_a_further_host() -> None:
    own = {"public_url": "https://kanjo.example, http://kanjo:8000", "trust_network": True}
    with running(**own) as server:
        until(server.services.warm.is_set)
        for host, origin in [
            ("kanjo.example", "https://kanjo.example"),
            ("kanjo:8000", "http://kanjo:8000"),
        ]:
            assert server.get("/healthz", headers={"Host": host}).status_code == 200
            with called(server, host, "/calls/native", origin):
                pass
        assert server.get("/healthz", headers={"Host": "evil.example"}).status_code == 421


def test_refusals_are_sampled_warnings_without_what_was_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running() as server, server.client() as client:
        for _ in range(200):
            client.get("/v1/calls", headers={"Host": "evil.example"})
            client.get("/v1/calls", headers={"Origin": "http://evil.example"})
    printed = capsys.readouterr()
    lines = [line for line in (printed.out + printed.err).splitlines() if "foreign_" in line]
    assert 2 <= len(lines) <= 30
    assert all("warning" in line for line in lines)
    assert "evil.example" not in printed.out + printed.err
