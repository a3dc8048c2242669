from pathlib import Path

import pytest
from jinja2 import UndefinedError

from training.pages import environment, without_nan


def test_only_html_templates_are_escaped(tmp_path: Path) -> None:
    for name in ("page.html.jinja", "page.md.jinja"):
        (tmp_path / name).write_text("{{ text }}\n")
    pages = environment(tmp_path)
    assert pages.get_template("page.html.jinja").render(text="<i>") == "&lt;i&gt;\n"
    assert pages.get_template("page.md.jinja").render(text="<i>") == "<i>\n"


def test_an_unknown_value_of_a_template_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.md.jinja").write_text("{{ text }}")
    with pytest.raises(UndefinedError, match="'text' is undefined"):
        environment(tmp_path).get_template("page.md.jinja").render()


def test_numbers_that_are_not_finite_become_none() -> None:
    nan, inf = float("nan"), float("inf")
    values = {"a": nan, "b": [1.5, (inf, 2)], 3: {"c": -inf, "d": "nan"}}
    assert without_nan(values) == {"a": None, "b": [1.5, [None, 2]], "3": {"c": None, "d": "nan"}}
