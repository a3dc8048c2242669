"""Options by which `replay` and `loadtest` are given what a provider authenticates itself with."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.telephony.shared.client import ClientCredentials

BEARER = ("native", "telnyx", "vonage")  # bridges whose providers send a bearer token
PANEL = "Credentials, where the service asks for them"

ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="REPLAY_API_KEY", help="Header X-API-KEY: audiohook.", rich_help_panel=PANEL
    ),
]
SigningSecret = Annotated[
    str | None,
    typer.Option(
        envvar="REPLAY_SECRET",
        help="Signs the handshake: audiohook (the client secret, base64), twilio and plivo "
        "(the auth token).",
        rich_help_panel=PANEL,
    ),
]
PublicUrl = Annotated[
    str | None,
    typer.Option(
        envvar="REPLAY_PUBLIC_URL",
        help="The URL that is signed, where the service is reached at another one.",
        metavar="WS-URL",
        show_default="--url",
        rich_help_panel=PANEL,
    ),
]
BasicUser = Annotated[
    str | None,
    typer.Option(
        envvar="REPLAY_USER",
        help="User of HTTP Basic: asterisk, exotel, freeswitch, jambonz.",
        rich_help_panel=PANEL,
    ),
]
BasicPassword = Annotated[
    str | None,
    typer.Option(
        envvar="REPLAY_PASSWORD",
        help="Password of HTTP Basic, with --user.",
        rich_help_panel=PANEL,
    ),
]
BearerToken = Annotated[
    str | None,
    typer.Option(
        envvar="REPLAY_TOKEN",
        help="Bearer token: native, telnyx, vonage; twilio's stream parameter. Without it the "
        "first three send KANJO_TOKEN, an API token of the role bridge.",
        rich_help_panel=PANEL,
    ),
]


def client_credentials(
    bridge: str,
    api_key: str | None,
    secret: str | None,
    user: str | None,
    password: str | None,
    token: str | None,
    public_url: str | None,
) -> "ClientCredentials":
    """Returns the credentials of the options, and KANJO_TOKEN where the provider sends a token."""
    from service.telephony.shared.client import ClientCredentials

    return ClientCredentials(
        api_key=api_key,
        secret=secret,
        user=user,
        password=password,
        token=token or (os.environ.get("KANJO_TOKEN") if bridge in BEARER else None),
        public_url=public_url,
    )
