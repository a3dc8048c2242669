"""The address of a call in the PBX, made by a template."""

import re
from collections.abc import Mapping
from string import Formatter
from urllib.parse import quote, urlsplit

# The agent is none of them: the address outlives the call, and the agent's name must not.
FIELDS = ("call_id", "bridge", "caller_number", "called_number", "queue", "language")
MAX_CHARS = 1_024  # of an address


def is_web_address(text: str) -> bool:
    """Returns whether a text is an address that a page may link to: http or https, with a host."""
    if len(text) > MAX_CHARS or not re.fullmatch(r"https?://[^\s\\<>\"]+", text, re.IGNORECASE):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False


class UrlTemplate:
    """An address with fields in braces: `https://pbx.example/monitor?id={call_id}`.

    Raises:
        ValueError: it is no web address, has a field in its host, or one that is unknown.
    """

    def __init__(self, template: str) -> None:
        expected = "expected an address such as https://pbx.example/monitor?id={call_id}"
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"got {template!r}: {error}, {expected}") from None
        for _, field, spec, conversion in parts:
            if field is not None and (field not in FIELDS or spec or conversion):
                known = ", ".join(FIELDS)
                raise ValueError(f"got the field {field!r}, expected only {known}, in braces")
        if not re.match(r"https?://[^{}/?#]+([/?#]|$)", template, re.IGNORECASE) or not (
            is_web_address(template.format_map(dict.fromkeys(FIELDS, "x")))
        ):
            raise ValueError(f"got {template!r}, {expected}, without fields in the host")
        self._template = template
        self._fields = frozenset(field for _, field, _, _ in parts if field is not None)

    def __repr__(self) -> str:
        return self._template

    def address(self, values: Mapping[str, str | None]) -> str | None:
        """Returns the address with the values percent-encoded; None if a value is not known."""
        known = {name: value for name, value in values.items() if value}
        if not self._fields <= known.keys():
            return None
        address = self._template.format_map({name: quote(known[name], safe="") for name in known})
        return address if is_web_address(address) else None
