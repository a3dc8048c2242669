"""The sentences of a report, rendered from `templates/prose`."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from training.pages import environment
from training.report.page import difference, interval, percent, points, probability

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    made = environment(TEMPLATES)
    for filter_ in (difference, interval, percent, points, probability):
        made.filters[filter_.__name__] = filter_
    return made


def paragraphs(name: str, **values: Any) -> list[str]:
    """Returns the paragraphs of `templates/prose/NAME.jinja`; blank lines separate them."""
    text = _environment().get_template(f"prose/{name}.jinja").render(values)
    return [" ".join(one.split()) for one in text.split("\n\n") if one.strip()]


def page(name: str, **values: Any) -> str:
    """Returns a whole page, `templates/NAME.jinja`."""
    return _environment().get_template(f"{name}.jinja").render(values)
