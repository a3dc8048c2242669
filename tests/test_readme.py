"""The README's table of settings is the truth: written by `python -m tests.test_readme`."""

import re
from pathlib import Path

from service.settings import PREFIX, Settings

README = Path(__file__).parents[1] / "README.md"
PLACE = re.compile(r"(<!-- settings: [^>]*-->\n).*?(<!-- /settings -->)", re.DOTALL)


def table() -> str:
    rows = ["| variable | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, Path) and default.is_absolute():
            shown = "the shipped model"
        elif default is None:
            shown = "none"
        else:
            shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


def written(text: str) -> str:
    return PLACE.sub(lambda place: place[1] + table() + place[2], text)


def test_the_settings_in_the_readme_are_those_of_the_service() -> None:
    text = README.read_text()
    assert PLACE.search(text)
    assert text == written(text), "run: python -m tests.test_readme"


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
