"""Makes the parts of access that one service has, and links for those who log in."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.access.access import Access
from service.access.book import AccessBook
from service.access.database import FILE, AccessDatabase
from service.access.identity import Source
from service.access.login import LINK_VALID_S, Logins, login_url
from service.access.oidc import OidcClient, SingleSignOn
from service.access.proxy import ProxyHeader
from service.access.roles import Role
from service.access.sources import ApiTokens, FixedToken, ProcessTokens, Sessions
from service.settings import Settings

FIRST_NAME = "first login"


@dataclass(frozen=True, slots=True)
class AccessParts:
    """The parts, made of the same file."""

    access: Access
    logins: Logins
    book: AccessBook
    process_tokens: ProcessTokens
    single_sign_on: SingleSignOn | None


def database_of(settings: Settings) -> AccessDatabase:
    """Returns the file that service and commands share, in the state folder."""
    return AccessDatabase(settings.state_dir / FILE)


def base_url(settings: Settings) -> str:
    """Returns where a browser reaches the service, as far as the settings tell."""
    if settings.page_url:
        return settings.page_url
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.listens_at, settings.listens_at)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def set_up(settings: Settings, further: Sequence[Source] = ()) -> AccessParts:
    """Makes access as the settings have it.

    A proxy that logs people in, single sign-on and `further` sources close it, whoever they know.

    Raises:
        AccessUnusable: the file of tokens and sessions is there but can't be used.
    """
    book = AccessBook(database_of(settings))
    over_tls = (settings.page_url or "").startswith("https://")
    logins = Logins(book, settings.session_hours * 3600, secure=over_tls)
    process_tokens = ProcessTokens()
    if settings.proxy_user_header:
        networks, role = settings.proxy_addresses or (), Role(settings.proxy_role)
        further = [*further, ProxyHeader(settings.proxy_user_header, networks, role)]
    sources: list[Source] = [
        ApiTokens(book),
        Sessions(book, logins.cookie),
        process_tokens,
        *further,
    ]
    if settings.metrics_token:
        token = settings.metrics_token.get_secret_value()
        sources.append(FixedToken("metrics", Role.METRICS, token))
    sign_on = single_sign_on(settings)
    # Who names a public address has a proxy in front, whose clients all seem to be local.
    local = settings.on_loopback and not settings.public_url and not further and not sign_on
    access = Access(sources, is_open=lambda: local and not book.ever_had_tokens)
    return AccessParts(access, logins, book, process_tokens, sign_on)


def single_sign_on(settings: Settings) -> SingleSignOn | None:
    """Returns the single sign-on of the settings, or None if they have none."""
    if not (settings.oidc_issuer and settings.oidc_client_id and settings.oidc_client_secret):
        return None
    client = OidcClient(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        redirect_uri=f"{base_url(settings).rstrip('/')}/login/oidc/callback",
        role_claim=settings.oidc_role_claim,
        roles={value: Role(role) for value, role in (settings.oidc_roles or {}).items()},
        default_role=None if settings.oidc_role == "none" else Role(settings.oidc_role),
    )
    return SingleSignOn(client)


def first_link(settings: Settings) -> str | None:
    """Returns a one-time link for an admin, or None if someone has logged in before.

    Raises:
        AccessUnusable: the file can't be written.
    """
    database = database_of(settings)
    if database.anyone_logged_in():
        return None
    code = database.create_link(FIRST_NAME, Role.ADMIN, LINK_VALID_S)
    return login_url(base_url(settings), code)
