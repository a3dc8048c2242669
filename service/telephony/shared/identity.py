"""The id and the metadata of a call, validated and bounded."""

import json
from collections.abc import Mapping

MAX_ID_CHARS = 128
MAX_ENTRIES = 32
MAX_NAME_CHARS = 128
MAX_VALUE_CHARS = 1_024
MAX_BYTES = 16_384  # of all names and values in UTF-8

# Characters that no page should have to draw: controls, and those that turn the direction of text,
# by which one value can look like another. White space becomes a space, so that words stay apart.
_CONTROLS = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]),
    **dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x2070)]),
    0xFEFF: None,
    **dict.fromkeys([*range(0x09, 0x0E), 0x85, 0x2028, 0x2029], " "),
}


def call_id(value: object) -> str | None:
    """Returns the value if it is a text of 1 to 128 printable characters, else None."""
    if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable():
        return value
    return None


def metadata(fields: Mapping[str, object]) -> dict[str, str]:
    """Returns the first 32 fields that are not None as texts, names and values cut to size.

    Values that are not texts are encoded as JSON. Control characters and those that turn the
    direction of text are removed. Fields that would exceed 16,384 bytes in all are left out.
    """
    entries: dict[str, str] = {}
    left = MAX_BYTES
    for name, value in fields.items():
        if len(entries) == MAX_ENTRIES:
            break
        if value is not None:
            text = value if isinstance(value, str) else _json(value)
            name, text = clean(name, MAX_NAME_CHARS), clean(text, MAX_VALUE_CHARS)
            size = len(name.encode()) + len(text.encode())
            if name not in entries and size <= left:
                entries[name] = text
                left -= size
    return entries


def _json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "..."


def clean(text: str, max_chars: int) -> str:
    """Returns the text cut to size, without controls and what turns the direction of text."""
    # JSON may contain halves of surrogate pairs, which UTF-8 can't encode.
    return text[:max_chars].translate(_CONTROLS).encode(errors="replace").decode()
