"""What `replay` and `demo` print: a live line, alerts as they come, a table at the end."""

import sys
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from service.cli.console import err, out

if TYPE_CHECKING:
    from service.replay.summary import ReplaySummary
    from service.telephony.shared.client import AlertReceived

COLOURS = {"anger": "dark_orange", "happiness": "green"}


def print_alert(alert: "AlertReceived") -> None:
    """Prints an alert that fires or is resolved, in the colour of its emotion."""
    if alert.state in ("firing", "resolved"):
        colour = COLOURS.get(alert.emotion, "")
        out.print(Text(f"{alert.call_id}  {alert.state:8}  ").append(alert.text, colour))


def live_progress(summary: "ReplaySummary") -> Live:
    """Returns a line on standard error that shows the summary's present figures."""
    from service.telephony.shared.client import Feedback

    def line() -> str:
        received = {
            Feedback.READINGS: f"{summary.readings} readings, {summary.fired.total()} alerts, ",
            Feedback.ALERTS: f"{summary.fired.total()} alerts, ",
            Feedback.NOTHING: "",
        }[summary.feedback]
        return (
            f"{summary.live} live of {summary.calls} calls, {summary.played_s:.0f} s played, "
            f"{received}{summary.errors.total()} errors"
        )

    return Live(
        get_renderable=line,
        console=err,
        refresh_per_second=4,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else alerts would get to stderr, past a pipe
    )


def summary_table(summary: "ReplaySummary") -> Table:
    """Returns the figures of a replay as a table of two columns."""
    from service.telephony.shared.client import Feedback

    def late(percent: float) -> str:
        late_s = summary.late_percentile_s(percent)
        return "none" if late_s is None else f"{late_s * 1000:.0f} ms"

    fired = ", ".join(
        f"{emotion} {count}" for emotion, count in sorted(summary.fired.items()) if count
    )
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("calls", str(summary.calls))
    table.add_row("audio", f"{summary.played_s:.1f} s")
    match summary.feedback:
        case Feedback.READINGS:
            table.add_row("readings", str(summary.readings))
            table.add_row("alerts fired", fired or "none")
            table.add_row("lateness p50", late(50))
            table.add_row("lateness p95", late(95))
            table.add_row("lateness p99", late(99))
        case Feedback.ALERTS:
            table.add_row("readings", "this bridge gets none; see the dashboard")
            table.add_row("alerts fired", fired or "none that was sent to this bridge")
        case Feedback.NOTHING:
            table.add_row("feedback", "this bridge gets none; see the dashboard")
    table.add_row("replay's own lag", f"{summary.behind_s * 1000:.0f} ms at worst")
    for code, count in sorted(summary.errors.items()):
        table.add_row(f"error {code}", Text(f"{count}, the first: {summary.reasons[code]}"))
    if not summary.errors:
        table.add_row("errors", "none")
    return table
