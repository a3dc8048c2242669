"""Logins at a real provider of OpenID Connect, and everything that may be wrong with them."""

import re
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from tests.service.api.conftest import Running, ready, running
from tests.service.api.oidc_provider import CLIENT, SECRET, Provider, providing

USERS = {
    "ada": {"groups": ["staff", "supervisors", "ops"], "preferred_username": "Ada <b>"},
    "bob": {"groups": "supervisors"},
    "eve": {"groups": ["staff"]},
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with providing(USERS) as provider:
        yield provider


@pytest.fixture
def provider(shared: Provider) -> Iterator[Provider]:
    yield shared
    shared.usual()


@pytest.fixture(scope="module")
def service(shared: Provider) -> Iterator[Running]:
    with running(**settings(shared)) as server:
        yield ready(server)


def settings(provider: Provider) -> dict[str, Any]:
    return {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "oidc_roles": "supervisors:operator,ops:admin",
        "oidc_role": "none",
    }


def begin(browser: httpx.Client) -> str:
    """Returns the provider's address for a new login."""
    response = browser.get("/login/oidc")
    assert response.status_code == 303, response.text
    return response.headers["location"]


def agree(address: str, sub: str = "ada") -> str:
    """Logs in at the provider; returns the path and query to which it sends the browser back."""
    response = httpx.post(address, data={"sub": sub}, trust_env=False)
    assert response.status_code == 302, response.text
    back = urlsplit(response.headers["location"])
    assert back.path == "/login/oidc/callback"
    return f"{back.path}?{back.query}"


def query_of(address: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}


def who(browser: httpx.Client) -> tuple[str, str | None]:
    answer = browser.get("/session").json()
    assert answer["single_sign_on"]
    return answer["name"], answer["role"]


def refused(response: httpx.Response, status: int = 401) -> None:
    assert response.status_code == status, response.text
    assert "You are not logged in" in response.text
    assert "kanjo_session=" not in response.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    ("sub", "name", "role"), [("ada", "Ada <b>", "admin"), ("bob", "bob", "operator")]
)
def test_a_login_gives_a_session_with_the_role_of_its_claim(
    service: Running, provider: Provider, sub: str, name: str, role: str
) -> None:
    with service.client() as browser:
        assert browser.get("/v1/calls").status_code == 401
        response = browser.get(agree(begin(browser), sub))
        assert response.status_code == 200
        assert 'http-equiv="refresh" content="0; url=/"' in response.text
        cookies = response.headers.get_list("set-cookie")
        assert any("SameSite=Strict" in cookie for cookie in cookies)
        assert who(browser) == (name, role)
        assert browser.get("/v1/calls").status_code == 200


def test_who_has_no_role_is_refused(service: Running, provider: Provider) -> None:
    with service.client() as browser:
        refused(browser.get(agree(begin(browser), "eve")))
        assert who(browser) == ("anonymous", None)


def test_the_verifier_is_that_of_the_challenge_and_all_secrets_are_new(
    service: Running, provider: Provider
) -> None:
    """The provider does not compare them, so this does."""
    with service.client() as browser:
        first, second = query_of(begin(browser)), query_of(begin(browser))
        for name in ("state", "nonce", "code_challenge"):
            assert first[name] != second[name]
            assert len(first[name]) >= 43
        address = begin(browser)
        asked = query_of(address)
        assert asked["code_challenge_method"] == "S256"
        assert asked["response_type"] == "code"
        assert browser.get(agree(address)).status_code == 200
    authorization, form = provider.asked[-1]
    challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode()
    assert challenge.rstrip("=") == asked["code_challenge"]
    assert form["redirect_uri"] == asked["redirect_uri"]
    basic = b64encode(f"{CLIENT}:{quote(SECRET, safe='')}".encode()).decode()
    assert authorization == f"Basic {basic}"


def test_a_state_of_nobody_of_another_browser_or_used_before_is_refused(
    service: Running, provider: Provider
) -> None:
    with service.client() as browser, service.client() as other:
        asked_before = len(provider.asked)
        back = agree(begin(browser))
        state = query_of(back)["state"]
        refused(browser.get(back.replace(state, "x" * 43)))
        begin(other)
        refused(other.get(back))  # login CSRF: another's login is not ended in this browser
        refused(browser.get(back))  # it was used up by that
        assert len(provider.asked) == asked_before  # no code went to the provider
        back = agree(begin(browser))
        assert browser.get(back).status_code == 200
        refused(browser.get(back))
        refused(browser.get("/login/oidc/callback?error=access_denied&state=x"))


def test_a_replayed_code_is_refused(service: Running, provider: Provider) -> None:
    with service.client() as browser:
        back = agree(begin(browser))
        assert browser.get(back).status_code == 200
        fresh = query_of(begin(browser))["state"]
        refused(browser.get(back.replace(query_of(back)["state"], fresh)))


NOW = int(time.time())


def test_a_token_with_the_right_claims_is_accepted_from_the_tap(
    service: Running, provider: Provider
) -> None:
    provider.claims = {"aud": [CLIENT]}
    with service.client() as browser:
        assert browser.get(agree(begin(browser))).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "http://127.0.0.1:1"},
        {"aud": "another"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"aud": [CLIENT, "another"]},
        {"azp": "another"},
        {"exp": NOW - 3600},
        {"exp": None},
        {"iat": NOW + 3600},
        {"sub": None},
    ],
    ids=lambda claims: re.sub(r"\d{5,}", "...", str(claims)),  # times differ between processes
)
def test_a_token_that_is_not_for_this_login_is_refused(
    service: Running, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    with service.client() as browser:
        refused(browser.get(agree(begin(browser))))
        assert who(browser) == ("anonymous", None)


@pytest.mark.parametrize("kid", ["own", None])
def test_a_token_that_another_has_signed_is_refused(
    service: Running, provider: Provider, kid: str | None
) -> None:
    provider.claims, provider.is_key_published = {}, False
    provider.header = {"alg": "RS256"} | ({"kid": kid} if kid else {})
    with service.client() as browser:
        refused(browser.get(agree(begin(browser))))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256"])
@pytest.mark.parametrize("kid", ["own", None])
def test_a_token_that_is_signed_by_nobody_or_with_the_public_key_is_refused(
    service: Running, provider: Provider, algorithm: str, kid: str | None
) -> None:
    provider.claims = {}  # those of a right token
    provider.header = {"alg": algorithm} | ({"kid": kid} if kid else {})
    with service.client() as browser:
        refused(browser.get(agree(begin(browser))))
        assert who(browser) == ("anonymous", None)


def test_a_provider_that_fails_is_a_sentence_and_503(service: Running, provider: Provider) -> None:
    with service.client() as browser:
        back = agree(begin(browser))
        provider.status = 500
        response = browser.get(back)
        refused(response, 503)
        assert "Traceback" not in response.text


def test_a_provider_that_is_away_is_a_sentence_and_503(provider: Provider) -> None:
    away = {**settings(provider), "oidc_issuer": "http://127.0.0.1:1"}
    with running(**away) as server, server.client() as browser:
        for _ in range(2):
            refused(browser.get("/login/oidc"), 503)
        assert "got no answer" in browser.get("/login/oidc").text
        assert browser.get("/v1/calls").status_code == 401  # closed all the same
