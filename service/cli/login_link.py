"""Defines the command `kanjo login-link`, which prints a link that logs a browser in."""

from typing import Annotated, Literal

import typer

from service.cli.console import err, fail
from service.cli.environment import settings_from_environment


def login_link(
    role: Annotated[
        Literal["viewer", "operator", "admin"],
        typer.Option(
            help="viewer reads calls, alerts and events; operator also has recordings classified."
        ),
    ] = "operator",
    name: Annotated[str, typer.Option(help="Whose login it is, for the log.")] = "login link",
) -> None:
    """Print a link that logs a browser in, once, within 15 minutes.

    It is kept in KANJO_STATE_DIR, and works for a running service that has the same folder. It
    leads to KANJO_PUBLIC_URL, or else to KANJO_HOST and KANJO_PORT.

    Example: kanjo login-link --role viewer --name "Ada"
    """
    if not name.isprintable() or not 0 < len(name.strip()) <= 80:
        fail(f"--name: got {name!r}, expected 1 to 80 printable characters", 2)
    settings = settings_from_environment()

    from service.access.login import LINK_VALID_S, login_url
    from service.access.roles import Role
    from service.access.setup import base_url, database_of
    from service.errors import KanjoError

    try:
        code = database_of(settings).create_link(name.strip(), Role(role), LINK_VALID_S)
    except KanjoError as error:
        fail(error)
    typer.echo(login_url(base_url(settings), code))
    err.print("It works once, within 15 minutes.", markup=False)
