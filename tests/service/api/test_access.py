"""Every route and every websocket, asked by every role and by nobody."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.routing import Mount, Route
from websockets.exceptions import InvalidStatus

from service.access.database import AccessDatabase
from service.access.roles import Role
from service.access.setup import database_of
from service.api.access import ROLES, needed_for, route_of
from service.telephony.providers import PROVIDERS
from tests.limits import ENOUGH_S
from tests.service.api.conftest import Running, ready, running, until

PUBLIC = {"/", "/dashboard/{path:path}", "/healthz", "/readyz", "/session", "/login", "/logout"}
PUBLIC |= {"/login/oidc", "/login/oidc/callback"}
METRICS_TOKEN = "metrics-metrics-metrics"
NATIVE_TOKEN = "native-native-native-1"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def database(state: Path) -> AccessDatabase:
    return AccessDatabase(state / "access.sqlite3")


@pytest.fixture(scope="module")
def tokens(database: AccessDatabase) -> dict[Role, str]:
    return {role: database.create_token(f"a {role}", role, None) for role in Role}


@pytest.fixture(scope="module")
def closed(state: Path, tokens: dict[Role, str]) -> Iterator[Running]:
    """A service on loopback for which tokens exist; one provider has credentials of its own."""
    with running(state_dir=state, metrics_token=METRICS_TOKEN, telnyx_token=NATIVE_TOKEN) as server:
        yield ready(server)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def routes(server: Running) -> dict[str, tuple[str, ...]]:
    """Returns the methods of every route over HTTP of the real app, by its path."""
    found = {}
    for route in iter_route_contexts(server.app.routes):
        match route.original_route:
            case Mount(path=path):
                found[f"{path}/{{path:path}}"] = ("GET",)
            case APIRoute() | Route():
                assert route.path
                methods = {*found.get(route.path, ()), *(route.methods or ())} - {"HEAD"}
                found[route.path] = tuple(sorted(methods))
            case APIWebSocketRoute():
                pass  # below
            case other:
                pytest.fail(f"got a route of a kind that no role can be named for: {other}")
    return found


def test_every_route_names_the_role_it_needs(closed: Running) -> None:
    assert set(routes(closed)) == set(ROLES)
    assert {path for path, needed in ROLES.items() if needed is None} == PUBLIC


@pytest.mark.parametrize("role", [None, *Role])
def test_every_route_lets_in_those_with_its_role_and_nobody_else(
    closed: Running, tokens: dict[Role, str], role: Role | None
) -> None:
    headers = bearer(tokens[role]) if role else {}
    for path, methods in routes(closed).items():
        asked = (
            path.replace("{path:path}", "main.js")
            .replace("{call_id:path}", "a/b")
            .replace("{id}", "1")
        )
        for method in methods:
            _, needed = needed_for(method, asked)
            if path == "/v1/events" and role and role.includes(Role.VIEWER):
                continue  # a stream without an end, below
            with closed.client() as client:
                response = client.request(method, asked, headers=headers)
            status = response.status_code
            if needed is None or (role and role.includes(needed)):
                allowed = path in ("/login", "/login/oidc/callback") or status not in (401, 403)
                assert allowed, (method, path, response.text)
                continue
            assert status == (403 if role else 401), (method, path, response.text)
            assert response.headers["content-type"] == "application/problem+json"
            assert role or response.headers["www-authenticate"] == "Bearer"
            detail = response.json()["detail"]
            assert f"role {role}" in detail if role else f"role {needed}" in detail


def test_a_path_that_no_route_names_is_refused_before_it_is_looked_for(
    closed: Running, tokens: dict[Role, str]
) -> None:
    assert route_of("/nowhere") is None
    assert closed.get("/nowhere").status_code == 401
    assert closed.get("/nowhere", headers=bearer(tokens[Role.VIEWER])).status_code == 404
    assert closed.get("/nowhere", headers=bearer(tokens[Role.ADMIN])).status_code == 404


def test_an_upload_without_a_role_is_refused_before_its_body_is_read(closed: Running) -> None:
    host, _, port = closed.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=ENOUGH_S) as client:
        client.sendall(
            b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_a_stream_of_events_ends_for_whom_it_may_not_be_told(
    closed: Running, database: AccessDatabase, tokens: dict[Role, str]
) -> None:
    token = database.create_token("short-lived", Role.VIEWER, None)
    until(lambda: closed.get("/v1/alerts", headers=bearer(token)).status_code == 200)
    with (
        closed.client() as client,
        client.stream("GET", "/v1/events", headers=bearer(token)) as told,
    ):
        assert told.status_code == 200
        database.revoke("short-lived")
        until(lambda: closed.get("/v1/alerts", headers=bearer(token)).status_code == 401)
        with closed.socket(additional_headers=bearer(tokens[Role.BRIDGE])) as native:
            native.send(
                '{"type":"start","call_id":"secret","encoding":"mulaw","sample_rate":8000,'
                '"tracks":["caller"]}'
            )
            native.recv(timeout=ENOUGH_S)
        assert "secret" not in "".join(told.iter_text())


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_strangers_are_told_yes_or_no_and_viewers_more(
    closed: Running, tokens: dict[Role, str], path: str
) -> None:
    answer = closed.get(path).json()
    assert answer in ({"status": "ok"}, {"ready": True})
    assert len(closed.get(path, headers=bearer(tokens[Role.BRIDGE])).json()) == 1
    assert len(closed.get(path, headers=bearer(tokens[Role.VIEWER])).json()) > 1


def test_metrics_have_a_token_of_their_own(closed: Running) -> None:
    assert closed.get("/metrics", headers=bearer(METRICS_TOKEN)).status_code == 200
    assert closed.get("/v1/calls", headers=bearer(METRICS_TOKEN)).status_code == 403
    assert closed.get("/metrics", headers=bearer(f"{METRICS_TOKEN}x")).status_code == 401


def status(server: Running, path: str, headers: dict[str, str]) -> int:
    """Returns 101 if the handshake of a websocket succeeds, or the status that refuses it."""
    try:
        with server.socket(path, additional_headers=headers):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def test_the_websockets_are_those_of_the_providers(closed: Running) -> None:
    found = {
        route.path
        for route in iter_route_contexts(closed.app.routes)
        if isinstance(route.original_route, APIWebSocketRoute)
    }
    assert found == {f"/calls/{name}" for name in PROVIDERS} | {"/{path:path}"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_bridges_open_a_providers_websocket(
    closed: Running, tokens: dict[Role, str], provider: str
) -> None:
    path = f"/calls/{provider}"
    assert status(closed, path, {}) == 401
    for role, token in tokens.items():
        accepted = role is Role.BRIDGE and provider != "telnyx"
        found = status(closed, path, {"AudioHook-Session-Id": "s", **bearer(token)})
        assert found not in (401, 403) if accepted else found == 401, (role, found)


def test_a_bridges_credential_opens_its_own_path_and_no_route(closed: Running) -> None:
    headers = bearer(NATIVE_TOKEN)
    assert status(closed, "/calls/telnyx", headers) == 101
    for provider in {*PROVIDERS} - {"telnyx"}:
        assert status(closed, f"/calls/{provider}", headers) == 401
    for path, needed in ROLES.items():
        if needed:
            assert closed.get(path, headers=headers).status_code == 401, path


# Open and closed.


def test_on_loopback_without_tokens_everybody_gets_in_until_one_is_made(tmp_path: Path) -> None:
    with running(state_dir=tmp_path) as server:
        ready(server)
        assert server.get("/v1/calls").status_code == 200
        assert status(server, "/calls/native", {}) == 101
        assert not (tmp_path / "access.sqlite3").exists()
        database = database_of(server.services.settings)
        token = database.create_token("first", Role.VIEWER, None)
        until(lambda: server.get("/v1/calls").status_code == 401)
        assert server.get("/v1/calls", headers=bearer(token)).status_code == 200
        assert status(server, "/calls/native", {}) == 401
        database.revoke("first")
        until(lambda: server.get("/v1/calls", headers=bearer(token)).status_code == 401)
        assert server.get("/v1/calls").status_code == 401  # it does not open again


def test_beyond_loopback_nobody_gets_in_without_credentials(tmp_path: Path) -> None:
    with running(host="0.0.0.0", trust_network=True, state_dir=tmp_path) as server:
        until(lambda: server.get("/readyz").status_code == 200)
        for path, needed in ROLES.items():
            if needed:
                assert server.get(path).status_code == 401, path
        assert status(server, "/calls/native", {}) == 101  # as the setting says
