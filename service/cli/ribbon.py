"""Shows in a terminal how a recording sounds: a table of the whole, a ribbon over time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from model.labels import ADJECTIVES, Emotion, sounds

if TYPE_CHECKING:
    from service.classification import Classification, WindowAnswer

# The letters distinguish the cells where a terminal has no colours.
NEITHER = ("·", (160, 160, 160))
CELLS = {Emotion.ANGER: ("A", (255, 140, 0)), Emotion.HAPPINESS: ("H", (46, 180, 80))}
SILENCE = " "
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
TICK_COLUMNS = 8  # least distance of two labels of the axis


def answer_table(answer: "Classification") -> Table:
    """Returns the answer about a whole recording as a table of two columns."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    if answer.emotion is None or answer.probabilities is None or answer.style is None:
        table.add_row("emotion", "no speech found")
    else:
        likely_first = sorted(answer.probabilities.items(), key=lambda item: -item[1])
        (emotion, p), *others = likely_first
        table.add_row("emotion", sounds(emotion, p))
        table.add_row("", ", ".join(f"{ADJECTIVES[emotion]} {p:.2f}" for emotion, p in others))
        style, p = max(answer.style.items(), key=lambda item: item[1])
        table.add_row("style", f"{style} ({p:.2f})")
    table.add_row("duration", f"{answer.duration_s:.1f} s")
    table.add_row("speech", f"{answer.speech_s:.1f} s")
    table.add_row("model", Text(f"{answer.model.name} {answer.model.version}"))
    return table


def summary(answer: "Classification") -> str:
    """Returns the answer about a whole recording in one line."""
    if answer.emotion is None or answer.probabilities is None:
        verdict = "no speech found"
    else:
        verdict = sounds(answer.emotion, answer.probabilities[answer.emotion])
    return f"{verdict:22}  {answer.speech_s:6.1f} s of speech in {answer.duration_s:6.1f} s"


def ribbon(windows: "Sequence[WindowAnswer]", duration_s: float, columns: int) -> list[Text]:
    """Returns three lines: cells that show how the speaker sounds over time, an axis, a legend.

    Every one of the `columns` cells shows the most probable emotion of the first window that covers
    the cell's middle, and is blank where no window does, in silence.
    """
    cells = Text()
    ordered = sorted(windows, key=lambda window: window.end_s)
    first = 0
    for column in range(columns):
        at_s = (column + 0.5) / columns * duration_s
        while first < len(ordered) and ordered[first].end_s <= at_s:
            first += 1
        if first < len(ordered) and ordered[first].start_s <= at_s:
            emotion, p = max(ordered[first].probabilities.items(), key=lambda item: item[1])
            letter, colour = CELLS.get(emotion, NEITHER)
            cells.append(letter, _shade(colour, p))
        else:
            cells.append(SILENCE)
    legend = Text()
    for emotion, (letter, colour) in CELLS.items():
        legend.append(letter, _shade(colour, 1.0)).append(f" {ADJECTIVES[emotion]}   ")
    legend.append(NEITHER[0], _shade(NEITHER[1], 1.0)).append(" neither   ")
    legend.append("blank: silence   brighter: more probable", "dim")
    return [cells, Text(axis(duration_s, columns), "dim"), legend]


def axis(duration_s: float, columns: int) -> str:
    """Returns the time axis below the ribbon, labelled in minutes:seconds."""
    enough_s = duration_s * TICK_COLUMNS / columns
    hours = -(-enough_s // 3600) * 3600
    step_s = next((step for step in TICK_STEPS_S if step >= enough_s), int(hours))
    line = ""
    for tick_s in range(0, int(duration_s) + 1, step_s):
        label = f"{tick_s // 60}:{tick_s % 60:02d}"
        column = int(tick_s / max(duration_s, 1e-9) * columns)
        if column + len(label) <= columns:
            line = line.ljust(column) + label
    return line


def _shade(colour: tuple[int, int, int], probability: float) -> str:
    """Returns the style of a cell: the colour (RGB, 0 to 255), darker if less probable."""
    brightness = 0.2 + 0.8 * probability
    red, green, blue = (round(value * brightness) for value in colour)
    return f"{'black' if brightness > 0.5 else 'white'} on rgb({red},{green},{blue})"
