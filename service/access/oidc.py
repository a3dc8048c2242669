"""Single sign-on by OpenID Connect: the authorization code flow with PKCE, state and nonce."""

import asyncio
import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.access.roles import LOGIN_ROLES, Role
from service.access.secret import digest, new_secret
from service.errors import KanjoError

PENDING_S = 600.0  # from the start of a login to its end
MOST_PENDING = 1_000  # logins that have started; then the oldest are forgotten
WITHIN_S = 10.0  # for one answer of the provider
METADATA_S = 3600.0  # for which the provider's configuration is taken to hold
RETRY_S = 5.0  # after a failure, before the provider is asked for it again
LEEWAY_S = 60  # between the provider's clock and ours
MAX_NAME_CHARS = 256
# Only signatures that the provider alone can make: never `none`, nor a shared secret's.
ALGORITHMS = [f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)]
NAMES = ("preferred_username", "email", "name", "sub")  # claims, the first that is there


class ProviderUnusable(KanjoError):
    """The provider does not answer, or not as OpenID Connect has it."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"the provider of single sign-on can't be used: {self.problem}"


class LoginRefused(KanjoError):
    """A login that the provider, or what it sent, does not allow."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


@dataclass(frozen=True, slots=True)
class OidcClient:
    """How this service is registered at the provider, and how claims become roles."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    role_claim: str
    roles: Mapping[str, Role]  # by value of that claim
    default_role: Role | None  # of those without such a value; None: they are refused


@dataclass(frozen=True, slots=True)
class _Pending:
    browser: bytes  # digest of the cookie of the browser that has started
    verifier: str
    nonce: str
    expires_at: float


class SingleSignOn:
    """Sends browsers to the provider and finds out who comes back.

    Args:
        client: what was agreed with the provider.
        within_s: longest wait for one answer of the provider.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        client: OidcClient,
        within_s: float = WITHIN_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._within_s = within_s
        self._clock = clock
        self._pending: dict[str, _Pending] = {}
        self._metadata: Mapping[str, Any] | ProviderUnusable | None = None
        self._metadata_until = 0.0
        self._discovering = asyncio.Lock()

    async def begin(self) -> tuple[str, str]:
        """Returns the provider's address for a new login, and a secret for the browser's cookie.

        Raises:
            ProviderUnusable: it can't be found out where to send the browser.
        """
        metadata = await self._discover()
        state, nonce, browser, verifier = (new_secret() for _ in range(4))
        self._pending[state] = _Pending(digest(browser), verifier, nonce, self._clock() + PENDING_S)
        while len(self._pending) > MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._client.redirect_uri,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(metadata["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", browser

    async def finish(self, state: str, code: str, browser: str) -> tuple[str, Role]:
        """Returns who has logged in, and their role; a state is used up, whatever comes of it.

        Raises:
            LoginRefused: the login was started elsewhere or long ago, or its token is not right.
            ProviderUnusable: the provider does not answer.
        """
        pending = self._pending.pop(state, None)
        if (
            pending is None
            or self._clock() >= pending.expires_at
            or not hmac.compare_digest(digest(browser), pending.browser)
        ):
            raise LoginRefused(
                "got the end of a login that was not started in this browser within 10 minutes, "
                "expected one that was"
            )
        metadata = await self._discover()
        token = await self._redeem(metadata, code, pending.verifier)
        claims = self._claims(token, await self._keys(metadata), pending.nonce)
        role = self._role(claims)
        if role is None:
            raise LoginRefused("got an account without a role here, expected one that has one")
        name = next(str(claims[claim]) for claim in NAMES if claims.get(claim))
        return name[:MAX_NAME_CHARS], role

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        values = claims.get(self._client.role_claim, ())
        values = [values] if isinstance(values, str) else values
        values = values if isinstance(values, list) else []
        found = {self._client.roles.get(value) for value in values if isinstance(value, str)}
        highest = [role for role in reversed(LOGIN_ROLES) if role in found]
        return highest[0] if highest else self._client.default_role

    def _claims(self, token: str, keys: KeySet, nonce: str) -> Mapping[str, Any]:
        """Returns the claims of an ID token for this login (OpenID Connect Core, 3.1.3.7)."""
        own = self._client.client_id
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._client.issuer},
            aud={"essential": True, "value": own},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise LoginRefused(
                "got an ID token that is not right for this login "
                f"({type(error).__name__}), expected a new one of {self._client.issuer}"
            ) from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else own) != own:
            raise LoginRefused("got an ID token for another client, expected one for this service")
        return claims

    async def _redeem(self, metadata: Mapping[str, Any], code: str, verifier: str) -> str:
        own, secret = self._client.client_id, self._client.client_secret
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._client.redirect_uri,
            "code_verifier": verifier,
        }
        auth = None
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in methods:
            auth = httpx.BasicAuth(quote(own, safe=""), quote(secret, safe=""))  # RFC 6749, 2.3.1
        else:
            form |= {"client_id": own, "client_secret": secret}
        status, answer = await self._ask("POST", metadata["token_endpoint"], data=form, auth=auth)
        if status in (400, 401):
            raise LoginRefused(
                f"the provider refused the code of this login ({str(answer.get('error'))[:60]!r})"
            )
        token = answer.get("id_token")
        if status != 200 or not isinstance(token, str):
            raise ProviderUnusable(f"got HTTP {status} without an ID token, expected one")
        return token

    async def _keys(self, metadata: Mapping[str, Any]) -> KeySet:
        """Fetches the provider's keys: at each login, because they change without notice."""
        status, answer = await self._ask("GET", metadata["jwks_uri"])
        try:
            if status != 200:
                raise ValueError(f"HTTP {status}")
            keys = [key for key in answer["keys"] if key.get("use", "sig") == "sig"]
            return KeySet.import_key_set({"keys": keys})
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ProviderUnusable("got no set of keys, expected one at its jwks_uri") from error

    async def _discover(self) -> Mapping[str, Any]:
        async with self._discovering:  # however many browsers ask, the provider is asked once
            if self._metadata is None or self._clock() >= self._metadata_until:
                address = self._client.issuer.rstrip("/") + "/.well-known/openid-configuration"
                try:
                    self._metadata = self._checked(*await self._ask("GET", address))
                    self._metadata_until = self._clock() + METADATA_S
                except ProviderUnusable as error:
                    self._metadata = error
                    self._metadata_until = self._clock() + RETRY_S
            if isinstance(self._metadata, ProviderUnusable):
                raise ProviderUnusable(self._metadata.problem)
            return self._metadata

    def _checked(self, status: int, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        if status != 200:
            raise ProviderUnusable(f"got HTTP {status}, expected its configuration")
        if answer.get("issuer") != self._client.issuer:
            raise ProviderUnusable(
                f"got the issuer {str(answer.get('issuer'))[:200]!r}, expected "
                f"{self._client.issuer!r}, as KANJO_OIDC_ISSUER has it"
            )
        scheme = urlsplit(self._client.issuer).scheme
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            address = answer.get(name)
            if not isinstance(address, str) or urlsplit(address).scheme not in ("https", scheme):
                raise ProviderUnusable(f"got no {name} over TLS, expected one")
        return answer

    async def _ask(self, method: str, address: str, **more: Any) -> tuple[int, Mapping[str, Any]]:
        try:
            async with (
                asyncio.timeout(self._within_s),
                httpx.AsyncClient(timeout=self._within_s) as client,
            ):
                response = await client.request(method, address, **more)
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise ProviderUnusable(
                f"got no answer ({type(error).__name__}), expected one within {self._within_s:g} s"
            ) from error
        except ValueError as error:
            raise ProviderUnusable("got an answer that is no JSON, expected JSON") from error
        if not isinstance(answer, dict):
            raise ProviderUnusable("got JSON of another form, expected an object")
        return response.status_code, answer
