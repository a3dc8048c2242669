"""A proxy's header on the real service, over sockets with different addresses."""

from collections.abc import Iterator

import httpx
import pytest

from tests.limits import ENOUGH_S
from tests.service.api.conftest import Running, ready, running

PROXY = "127.0.0.2"  # every address of 127.0.0.0/8 is this machine's
NAMED = {"X-Forwarded-User": "ada"}


@pytest.fixture(scope="module")
def behind() -> Iterator[Running]:
    settings = {"proxy_user_header": "X-Forwarded-User", "proxy_addresses": PROXY}
    with running(**settings, proxy_role="operator") as server:
        yield ready(server)


def ask(
    server: Running, path: str, peer: str, headers: dict[str, str], method: str = "GET"
) -> httpx.Response:
    transport = httpx.HTTPTransport(local_address=peer)
    with httpx.Client(
        base_url=f"http://{server.address}", transport=transport, timeout=ENOUGH_S
    ) as client:
        return client.request(method, path, headers=headers)


def test_the_proxy_names_who_is_asking(behind: Running) -> None:
    assert ask(behind, "/session", PROXY, NAMED).json() == {
        "name": "ada",
        "role": "operator",
        "can_log_out": False,
        "single_sign_on": False,
    }
    assert ask(behind, "/v1/calls", PROXY, NAMED).status_code == 200
    assert ask(behind, "/v1/calls", PROXY, {}).status_code == 401  # access is closed


def test_from_another_address_the_header_is_ignored(behind: Running) -> None:
    assert ask(behind, "/v1/calls", "127.0.0.1", NAMED).status_code == 401
    assert ask(behind, "/session", "127.0.0.1", NAMED).json()["role"] is None


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_header_that_names_an_address_does_not_change_where_a_request_comes_from(
    behind: Running, header: str
) -> None:
    """Uvicorn believes X-Forwarded-For of 127.0.0.1; who sent it there is another question."""
    forged = {**NAMED, header: PROXY}
    assert ask(behind, "/v1/calls", "127.0.0.1", forged).status_code == 401
    client = {**NAMED, header: "203.0.113.9"}
    assert ask(behind, "/v1/calls", PROXY, client).status_code == 200


def test_a_proxy_that_leaves_a_clients_header_in_place_names_nobody(behind: Running) -> None:
    transport = httpx.HTTPTransport(local_address=PROXY)
    with httpx.Client(base_url=f"http://{behind.address}", transport=transport) as client:
        twice = [("X-Forwarded-User", "eve"), ("X-Forwarded-User", "ada")]
        assert client.get("/v1/calls", headers=twice).status_code == 401


def test_a_change_needs_the_origin_of_our_page_too(behind: Running) -> None:
    """The proxy's own cookie lets in whatever page of its site asks."""
    assert ask(behind, "/classify", PROXY, NAMED, "POST").status_code == 403
    ours = {**NAMED, "Origin": f"http://{behind.address}"}
    assert ask(behind, "/classify", PROXY, ours, "POST").status_code not in (401, 403)
