"""Telephone numbers in responses: whole for those whose role may see them, masked for others."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from service.access.identity import Identity
from service.access.roles import Role
from service.store.views import CallView, StreamEvent

LEAST_DIGITS = 5  # of a number of which the last two digits are shown
SAME_DIGITS = 7  # at its end, by which a number is found in another spelling
MAX_PREFIX_CHARS = 20  # before those digits
CALL_EVENTS = ("call_started", "call_ended")

_SEPARATORS = r"(?:[\s().\-/]|%20)*"
_INTERNATIONAL = re.compile(rf"(\+|%2[bB])\d({_SEPARATORS}\d){{{LEAST_DIGITS - 1},17}}")

V = TypeVar("V", bound=CallView)


class Numbers:
    """Decides for each identity whether it is shown whole numbers, and masks them if not.

    Args:
        needed: the lowest role that is.
    """

    def __init__(self, needed: Role) -> None:
        self._needed = needed

    def call(self, identity: Identity, view: V) -> V:
        """Returns a call as this identity may see it."""
        return view if self.whole_for(identity) else without_numbers(view)

    def whole_for(self, identity: Identity) -> bool:
        """Returns whether this identity may see whole numbers."""
        return identity.may(self._needed)


def masked_event(event: StreamEvent) -> str:
    """Returns the data of an event with the numbers in it masked."""
    if event.kind not in CALL_EVENTS:
        return event.data
    return without_numbers(CallView.model_validate_json(event.data)).model_dump_json()


def masked(number: str) -> str:
    """Returns a number of which the country and the last two digits are left: `+49 … 67`."""
    digits = re.sub(r"\D", "", number)
    if len(digits) < LEAST_DIGITS:
        return "…"
    country = f"+{digits[:2]} " if number.lstrip().startswith("+") else ""
    return f"{country}… {digits[-2:]}"


def without_numbers(view: V) -> V:
    """Returns a call with its numbers masked, in its facts and where metadata repeat them.

    Metadata also lose whatever is written like an international number. An address that contains
    one is left out. The id of the call stays.
    """
    facts = view.facts
    numbers = [number for number in (facts.caller_number, facts.called_number) if number]
    url = facts.call_url
    return view.model_copy(
        update={
            "facts": replace(
                facts,
                caller_number=facts.caller_number and masked(facts.caller_number),
                called_number=facts.called_number and masked(facts.called_number),
                call_url=url if url and hidden(url, numbers) == url else None,
            ),
            "metadata": {name: hidden(text, numbers) for name, text in view.metadata.items()},
        }
    )


def hidden(text: str, numbers: Sequence[str]) -> str:
    """Returns the text with these numbers masked, however they are spelled, and others with `+`."""
    for number in numbers:
        text = _spelled(number).sub(_masked_match, text)
        if text == number or len(number) >= LEAST_DIGITS:  # a SIP user may have no digits
            text = text.replace(number, masked(number))
    return _INTERNATIONAL.sub(_masked_match, text)


def _masked_match(found: re.Match[str]) -> str:
    return masked(re.sub("%2[bB]", "+", found[0].replace("%20", " ")))


@lru_cache(maxsize=512)
def _spelled(number: str) -> re.Pattern[str]:
    """Returns a pattern of a number by its last digits, with separators and any prefix."""
    digits = re.sub(r"\D", "", number)
    if len(digits) < LEAST_DIGITS:
        return re.compile(r"(?!)")  # too short to be told from others
    core = _SEPARATORS.join(digits[-SAME_DIGITS:])
    if len(digits) < SAME_DIGITS:
        return re.compile(rf"(?<!\d){core}(?!\d)")
    prefix = rf"(?:\+|%2[bB])?(?:\d(?:[\d\s().\-/]|%20){{0,{MAX_PREFIX_CHARS}}}?)?"
    return re.compile(rf"{prefix}{core}(?!\d)")
