"""Compares two nested configs and names every value that differs."""

from collections.abc import Mapping
from typing import Any


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Returns one phrase a difference, by name: `network.d_lstm 8, expected 9`."""
    ours, theirs = _flatten(expected), _flatten(found)
    return [
        f"{name} {theirs.get(name)!r}, expected {ours.get(name)!r}"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    """Returns every value by its full name; an empty mapping is a value itself."""
    if not isinstance(value, Mapping) or not value:
        return {name: value}
    inner = (_flatten(below, f"{name}.{key}" if name else key) for key, below in value.items())
    return {full: it for one in inner for full, it in one.items()}
