"""Defines the commands `kanjo token create`, `list` and `revoke`, which keep API tokens."""

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from service.cli.console import err, fail, out
from service.cli.environment import settings_from_environment

token = typer.Typer(
    no_args_is_help=True,
    help="API tokens: who may read calls, classify, or send calls, by `Authorization: Bearer`.",
)

UNITS_S = {"h": 3_600, "d": 86_400, "w": 604_800}
MAX_NAME = 80


@token.command()
def create(
    name: Annotated[str, typer.Argument(help="What uses it, as `wall screen`; to revoke it by.")],
    role: Annotated[
        Literal["metrics", "viewer", "operator", "admin", "bridge"],
        typer.Option(
            help="metrics reads /metrics; viewer also calls, alerts and events; operator also has "
            "recordings classified; admin may all that; bridge sends calls, and nothing else."
        ),
    ],
    expires: Annotated[
        str,
        typer.Option(metavar="90d", help="When it ends: a number with h, d or w, or `never`."),
    ] = "365d",
) -> None:
    """Create a token and print it, once: only a digest of it is kept.

    It is kept in KANJO_STATE_DIR, and a running service that has the same folder knows it within a
    second. From the first token on every route asks for credentials, also on loopback.

    Example: kanjo token create "wall screen" --role viewer --expires 90d
    """
    valid_s = _seconds(expires)
    if not name.isprintable() or not 0 < len(name.strip()) <= MAX_NAME:
        fail(f"NAME: got {name!r}, expected 1 to {MAX_NAME} printable characters", 2)
    settings = settings_from_environment()

    from service.access.roles import Role
    from service.access.setup import database_of
    from service.errors import KanjoError

    database = database_of(settings)
    try:
        text = database.create_token(name.strip(), Role(role), valid_s)
    except KanjoError as error:
        fail(error)
    typer.echo(text)
    err.print(
        f"Kept as a digest in {database.path.resolve()}; it is not shown again.", markup=False
    )


@token.command("list")
def list_tokens() -> None:
    """List all tokens with their roles, last characters and times; their texts are not kept.

    Example: kanjo token list
    """
    settings = settings_from_environment()

    from rich.table import Table

    from service.access.setup import database_of
    from service.errors import KanjoError

    database = database_of(settings)
    try:
        tokens = database.tokens()
    except KanjoError as error:
        fail(error)
    if not tokens:
        out.print(f"No tokens in {database.path.resolve()}.", markup=False)
        return
    table = Table(
        "name", "role", "ends in", "created", "expires", "state", box=None, pad_edge=False
    )
    for one in tokens:
        expired = one.expires_at is not None and one.expires_at <= time.time()
        state = "revoked" if one.revoked_at else "expired" if expired else "valid"
        table.add_row(
            one.name, one.role, one.last, _day(one.created_at), _day(one.expires_at), state
        )
    out.print(table, markup=False)


@token.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The token's name, as `kanjo token list` has it.")],
) -> None:
    """Revoke a token: a running service refuses it within a second.

    Access stays closed after the last token is revoked.

    Example: kanjo token revoke "wall screen"
    """
    settings = settings_from_environment()

    from service.access.setup import database_of
    from service.errors import KanjoError

    try:
        database_of(settings).revoke(name)
    except KanjoError as error:
        fail(error)
    out.print(f"Revoked: {name}", markup=False)


def _seconds(text: str) -> float | None:
    """Returns how long a token lasts, None for `never`; fails for another form."""
    if text == "never":
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})([hdw])", text.strip())
    if found is None:
        fail(f"--expires: got {text!r}, expected a number with h, d or w, as 90d, or never", 2)
    return int(found[1]) * UNITS_S[found[2]]


def _day(at: float | None) -> str:
    return "never" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
