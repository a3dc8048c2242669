"""The id and the metadata of a call, validated and bounded."""

import json
from collections.abc import Mapping

MAX_ID_CHARS = 128
MAX_ENTRIES = 32
MAX_NAME_CHARS = 128
MAX_VALUE_CHARS = 1_024


def call_id(value: object) -> str | None:
    """Returns the value if it is a text of 1 to 128 printable characters, else None."""
    if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable():
        return value
    return None


def metadata(fields: Mapping[str, object]) -> dict[str, str]:
    """Returns the first 32 fields that are not None as texts, names and values cut to size.

    Values that are not texts are encoded as JSON.
    """
    entries: dict[str, str] = {}
    for name, value in fields.items():
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
    # JSON may contain halves of surrogate pairs, which UTF-8 can't encode.
    return text[:max_chars].encode(errors="replace").decode()
