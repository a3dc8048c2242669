"""What all generated pages share: their Jinja environment, and numbers as JSON values."""

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def environment(templates: Path) -> Environment:
    """Returns the environment of a folder of templates; `*.html.jinja` are escaped, others not."""
    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def without_nan(value: Any) -> Any:
    """Returns JSON values with None in place of floats that are not finite."""
    if isinstance(value, dict):
        return {str(key): without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
