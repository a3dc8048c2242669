"""A real OpenID Connect provider in a thread, with a tap on what it gets and sends."""

import hmac
import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

import oidc_provider_mock
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

CLIENT, SECRET = "kanjo", "a secret of the client"


class Provider:
    """The provider's WSGI application; `claims` and `key` replace those of its ID tokens."""

    def __init__(self, **options: Any) -> None:
        self._app = oidc_provider_mock.app(**options)
        self.own_key = RSAKey.generate_key(2048, {"kid": "own"})
        self.asked: list[tuple[str, dict[str, str]]] = []  # path, form of each POST
        self.issuer = ""
        self.usual()

    def usual(self) -> None:
        self.claims: dict[str, Any] | None = None
        self.header: dict[str, str] = {"alg": "RS256", "kid": "own"}
        self.is_key_published = True
        self.status: int | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable:
        path = environ["PATH_INFO"]
        if self.status:
            start_response(f"{self.status} Broken", [("Content-Type", "text/html")])
            return [b"<h1>broken</h1>"]
        if path == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            self.asked.append(
                (environ.get("HTTP_AUTHORIZATION", ""), dict(parse_qsl(body.decode())))
            )
            environ["wsgi.input"] = BytesIO(body)
        if self.claims is None or path not in ("/oauth2/token", "/jwks"):
            return self._app(environ, start_response)
        sent: list[str] = []
        body = b"".join(self._app(environ, lambda status, headers, *_: sent.append(status)))
        answer = json.loads(body)
        if "id_token" in answer:
            answer["id_token"] = self._signed(answer["id_token"])
        if "keys" in answer and self.is_key_published:
            answer["keys"] = [self.own_key.as_dict(private=False)]
        start_response(sent[0], [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _signed(self, token: str) -> str:
        part = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))) | (self.claims or {})
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.header["alg"] == "RS256":
            return jwt.encode(self.header, claims, self.own_key)
        # Forged by whoever knows no more than the published key.
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (self.header, claims))
        if self.header["alg"].lower() == "none":
            return f"{text}."
        signature = hmac.digest(self.public_key, text.encode(), "sha256")
        return f"{text}.{_encoded(signature)}"

    @property
    def public_key(self) -> bytes:
        """The published key, as it would be a secret of HMAC to one who takes any algorithm."""
        return self.own_key.as_pem(private=False)


def _encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


@contextmanager
def providing(users: dict[str, dict[str, Any]]) -> Iterator[Provider]:
    """Runs a provider that knows these users, by their `sub`, with their claims."""
    claims = [oidc_provider_mock.User(sub=sub, claims=more) for sub, more in users.items()]
    provider = Provider(user_claims=claims, access_token_max_age=timedelta(hours=1))
    server = make_server("127.0.0.1", 0, provider, threaded=True)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
