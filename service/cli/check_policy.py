"""Defines the command `kanjo check-policy`, which reports whether a policy file can be used."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import fail, out, report_error


def check_policy(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The policy file, in TOML.")],
) -> None:
    """Check a policy file without using it, before the service that KANJO_POLICY names it to does.

    Every problem is told in a line with its key and what was expected; the exit status is 1 then.

    Example: kanjo check-policy policy.toml
    """
    from service.alerts.policy_file import PolicyError, parse_policy, version_of
    from service.alerts.policy_watch import read_policy_text

    try:
        text = read_policy_text(file)
        policy = parse_policy(text, str(file))
    except PolicyError as error:
        for problem in error.problems[:-1]:
            report_error(f"{error.file}: {problem}")
        fail(f"{error.file}: {error.problems[-1]}")
    out.print(
        f"{file}: version {version_of(text)}, queues {len(policy.queues)}, "
        f"mutes {len(policy.mutes)}",
        markup=False,
    )
