"""The steps of a load test as a picture: lateness and processors over the number of calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from service.loadtest.result import Result, Step

WIDTH, HEIGHT = 760, 250  # of one panel
LEFT, RIGHT, TOP, BOTTOM = 60, 170, 34, 40


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    colour: str
    value: Callable[[Step], float | None]


LATENESS = (
    _Line("p99", "#d1495b", lambda step: step.late_p99_s),
    _Line("p95", "#edae49", lambda step: step.late_p95_s),
    _Line("p50", "#00798c", lambda step: step.late_p50_s),
)
PROCESSORS = (
    _Line("service", "#30638e", lambda step: step.service_cpu),
    _Line("its event loop", "#7aa6c2", lambda step: step.loop_cpu),
    _Line("its scorer", "#8d6a9f", lambda step: step.scorer),
    _Line("generator", "#999999", lambda step: step.generator_cpu),
)


def svg(result: Result, late_s: float) -> str:
    """Returns an SVG file.

    Args:
        late_s: the bound of p95 lateness, which is drawn.
    """
    capacity = "none held" if result.capacity is None else f"{result.capacity} calls held"
    title = f"Lateness from the end of speech, seconds ({capacity})"
    panels = [
        _panel(title, result.steps, LATENESS, late_s),
        _panel("Cores in use", result.steps, PROCESSORS, None),
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


def _panel(title: str, steps: Sequence[Step], lines: Sequence[_Line], bound: float | None) -> str:
    values = [value for step in steps for line in lines if (value := line.value(step)) is not None]
    highest = max([*values, bound or 0.0, 0.1]) * 1.1
    if bound is not None:
        highest = min(highest, 4 * bound)  # what is far beyond would flatten all that matters
    most = max([step.calls for step in steps], default=1)

    def x(calls: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * calls / most, 1)

    def y(value: float) -> float:
        share = min(value, highest) / highest
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    drawn = [f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>']
    for part in range(5):
        value = highest * part / 4
        drawn.append(
            f'<path d="M{LEFT} {y(value)}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:.2f}</text>'
        )
    shown = -60.0
    for step in steps:
        if x(step.calls) - shown >= 34:
            shown = x(step.calls)
            drawn.append(
                f'<text x="{shown}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step.calls}'
                "</text>"
            )
    drawn.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">calls</text>')
    if bound is not None:
        drawn.append(
            f'<path d="M{LEFT} {y(bound)}H{WIDTH - RIGHT}" stroke="#444444" '
            'stroke-dasharray="5 4"/>'
        )
    for number, line in enumerate(lines):
        points = [
            (x(step.calls), y(value)) for step in steps if (value := line.value(step)) is not None
        ]
        path = "L".join(f"{at} {up}" for at, up in points)
        marks = "".join(f'<circle cx="{at}" cy="{up}" r="3"/>' for at, up in points)
        key_y = TOP + 18 * number
        drawn.append(
            f'<g stroke="{line.colour}" fill="{line.colour}">'
            + (f'<path d="M{path}" fill="none" stroke-width="2"/>{marks}' if points else "")
            + f'<path d="M{WIDTH - RIGHT + 14} {key_y}h18" stroke-width="3"/></g>'
            f'<text x="{WIDTH - RIGHT + 38}" y="{key_y + 4}">{escape(line.name)}</text>'
        )
    return "".join(drawn)
