"""The service's settings, from KANJO_* variables and a command's options."""

import os
from typing import TYPE_CHECKING

import typer

from service.cli.console import report_error

if TYPE_CHECKING:
    from service.settings import Settings


def settings_from_environment(**options: object) -> "Settings":
    """Returns the settings; an option that was given (is not None) overrides its variable.

    Every setting that is wrong is reported in a line of its own, and the command ends with exit
    status 2. A value that may be a secret is not shown.
    """
    from pydantic import ValidationError

    from service.settings import Settings

    given = {f"KANJO_{name.upper()}": str(it) for name, it in options.items() if it is not None}
    try:
        return Settings.from_env({**os.environ, **given})
    except ValidationError as invalid:
        for problem in invalid.errors(include_url=False, include_context=False):
            name = "_".join(("KANJO", *map(str, problem["loc"] or "*"))).upper()
            match problem["type"]:
                case "extra_forbidden":
                    report_error(f"{name}: no such setting")  # its value may be a secret
                case "value_error":  # the settings' own sentence, which names what was found
                    report_error(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
                case _ if name.endswith("_URL"):  # it may hold a password
                    report_error(f"{name}: {problem['msg']}")
                case _:
                    report_error(f"{name}: got {problem['input']!r}: {problem['msg']}")
        raise typer.Exit(2) from None
