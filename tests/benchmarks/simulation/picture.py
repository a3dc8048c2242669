"""The sites of a fleet as a picture: calls, failures and lateness over the hours of a day."""

from collections.abc import Sequence
from html import escape

from tests.benchmarks.simulation.outcome import SERIES_S, Outcome

WIDTH, HEIGHT = 900, 230  # of one panel
LEFT, RIGHT, TOP, BOTTOM = 60, 250, 34, 40
COLOURS = "#d1495b #edae49 #00798c #30638e #7aa6c2 #8d6a9f #66a182 #999999".split()
POINTS = 240  # of one line: of what lies between two the highest is drawn
LATE_MOST_S = 4.0  # what is later is drawn there

Series = Sequence[float]


def svg(names: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """Returns an SVG file; all outcomes are of days of the same length."""
    failed = [_by_minute(outcome.failed) for outcome in outcomes]
    late = [[min(each, LATE_MOST_S) for each in outcome.page_s] for outcome in outcomes]
    hours = len(outcomes[0].calls) * SERIES_S / 3600
    title = f"p95 of lateness at the page, seconds, up to {LATE_MOST_S:g}"
    panels = [
        _panel("Live calls", names, [outcome.calls for outcome in outcomes], hours, ""),
        _panel("Calls refused or lost a minute", names, failed, hours, ""),
        _panel(title, names, late, hours, "hour"),
    ]
    placed = [
        f'<g transform="translate(0 {HEIGHT * n})">{each}</g>' for n, each in enumerate(panels)
    ]
    height = HEIGHT * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>{"".join(placed)}</svg>\n'
    )


def _by_minute(counts: Series) -> Series:
    a_minute = 60 // SERIES_S
    return [sum(counts[i : i + a_minute]) for i in range(0, len(counts), a_minute)]


def _panel(
    title: str, names: Sequence[str], lines: Sequence[Series], hours: float, axis: str
) -> str:
    highest = max(max(line) for line in lines) * 1.1 or 1.0
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    drawn = [f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>']
    for part in range(5):
        y = round(HEIGHT - BOTTOM - up * part / 4, 1)
        value = highest * part / 4
        drawn.append(
            f'<path d="M{LEFT} {y}h{across}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:,.4g}</text>'
        )
    for hour in range(0, int(hours) + 1, 3):
        x = round(LEFT + across * hour / hours, 1)
        drawn.append(f'<text x="{x}" y="{HEIGHT - 22}" text-anchor="middle">{hour}</text>')
    drawn.append(f'<text x="{LEFT + across}" y="{HEIGHT - 6}" text-anchor="end">{axis}</text>')
    for number, (name, line) in enumerate(zip(names, lines, strict=True)):
        step = -(-len(line) // POINTS)
        values = [max(line[i : i + step]) for i in range(0, len(line), step)]
        points = "L".join(
            f"{LEFT + across * i / len(values):.1f} {HEIGHT - BOTTOM - up * value / highest:.1f}"
            for i, value in enumerate(values)
        )
        key_y = TOP + 18 * number
        drawn.append(
            f'<g stroke="{COLOURS[number % len(COLOURS)]}"><path d="M{points}" fill="none"/>'
            f'<path d="M{LEFT + across + 10} {key_y}h16" stroke-width="3"/></g>'
            f'<text x="{LEFT + across + 32}" y="{key_y + 4}">{escape(name)}</text>'
        )
    return "".join(drawn)
