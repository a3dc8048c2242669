"""Defines the command `kanjo outbox`, which shows and treats writes that wait for Redis."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.console import fail, out
from service.cli.environment import settings_from_environment

if TYPE_CHECKING:
    from service.store.outbox import Outbox

IDS = "the ids of dead letters, `3,5`, or `all`"


def outbox(
    retry: Annotated[
        str | None, typer.Option(metavar="IDS", help=f"Queue dead letters again: {IDS}.")
    ] = None,
    drop: Annotated[
        str | None, typer.Option(metavar="IDS", help=f"Delete dead letters: {IDS}.")
    ] = None,
) -> None:
    """Show what waits for Redis in KANJO_STATE_DIR while the service is stopped.

    Dead letters are writes that Redis can never apply; they are shown without their content. The
    running service shows the same at `GET /v1/outbox`.

    Example: kanjo outbox --retry all
    """
    settings = settings_from_environment()

    from service.errors import KanjoError
    from service.store.outbox import FILE_NAME, Outbox

    path = settings.state_dir / FILE_NAME
    if not path.exists():
        fail(f"got no outbox at {path}, expected KANJO_STATE_DIR to name the service's folder")
    try:
        opened = Outbox(path, 1, replace=False)
    except KanjoError as error:
        fail(error)
    try:
        retried = opened.retry_dead_letters(_ids(opened, retry))
        dropped = opened.drop_dead_letters(_ids(opened, drop))
        if retried or dropped:
            out.print(f"retried {retried}, dropped {dropped}")
        _show(opened)
    finally:
        opened.close()


def _ids(outbox: "Outbox", text: str | None) -> list[int]:
    """Returns the ids that an option names."""
    known = [letter.id for letter in outbox.dead_letters]
    if text is None:
        return []
    if text.strip() == "all":
        return known
    try:
        ids = [int(part) for part in text.split(",")]
    except ValueError:
        fail(f"got {text!r}, expected {IDS}", code=2)
    if unknown := sorted({*ids} - {*known}):
        fail(f"got {unknown[0]}, expected the id of a dead letter", code=2)
    return ids


def _show(outbox: "Outbox") -> None:
    out.print(f"{len(outbox)} writes wait for Redis, {len(outbox.dead_letters)} are dead letters")
    for letter in outbox.dead_letters:
        at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(letter.at))
        out.print(f"{letter.id}  {at}  {letter.kind}: {letter.problem}", markup=False)
    for aside in outbox.set_aside:
        out.print(f"set aside: {aside.path}", markup=False)
