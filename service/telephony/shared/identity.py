"""Who a call is: its id, and what else the provider says of it."""

import json
from collections.abc import Mapping

MAX_ID_CHARS = 128
MAX_ENTRIES = 32
MAX_NAME_CHARS = 128
MAX_VALUE_CHARS = 1_024


def call_id(said: object) -> str | None:
    """What names a call: 1 to 128 printable characters; None is what does not."""
    if isinstance(said, str) and 0 < len(said) <= MAX_ID_CHARS and said.isprintable():
        return said
    return None


def metadata(said: Mapping[str, object]) -> dict[str, str]:
    """The first entries as text, what is no text as JSON; what is too much or too long is cut."""
    entries: dict[str, str] = {}
    for name, value in said.items():
        if len(entries) == MAX_ENTRIES:
            break
        if value is not None:
            text = value if isinstance(value, str) else _json(value)
            entries[_cut(name, MAX_NAME_CHARS)] = _cut(text, MAX_VALUE_CHARS)
    return entries


def _json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "..."


def _cut(text: str, max_chars: int) -> str:
    # JSON can carry halves of surrogate pairs, which no later encoder takes.
    return text[:max_chars].encode(errors="replace").decode()
