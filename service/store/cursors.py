"""Where a list goes on: the texts from which a page of calls or readings, or a feed, continues."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from service.store.errors import BadCursor

NEXT = "`next` of an earlier page"
EVENT = "the id of an event, like 1700000000000-0"
CALLS_PATTERN = r"(live|ended):([0-9]{1,20}(?:\.[0-9]{1,20})?):([\s\S]+)"
ENTRY_PATTERN = r"([1-9][0-9]{0,18})-([0-9]{1,19})"  # of a stream; it may be the end of a range
EVENT_PATTERN = r"([0-9]{1,19})-([0-9]{1,19})"  # each number below 2 ** 64


class Section(StrEnum):
    """The two parts of the list of calls, in their order."""

    LIVE = "live"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CallsCursor:
    """A place in the list of calls: that of one call, after which a page begins.

    It holds the call's score beside its id, because a call that ends leaves the first section.
    """

    section: Section
    score: str  # by which Redis sorts the section, as Redis writes it
    call_id: str

    def __str__(self) -> str:
        return f"{self.section}:{self.score}:{self.call_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the place that `str` wrote. Raises BadCursor."""
        match = re.fullmatch(CALLS_PATTERN, text)
        if not match:
            raise BadCursor(text, NEXT)
        return cls(Section(match[1]), match[2], match[3])


def event_order(id: str, expected: str = EVENT) -> tuple[int, int]:
    """Returns a stream id as two numbers that sort in the order of events. Raises BadCursor."""
    match = re.fullmatch(EVENT_PATTERN, id)
    if not match:
        raise BadCursor(id, expected)
    return int(match[1]), int(match[2])


def before_entry(id: str) -> str:
    """Returns the end of a stream's range that ends before an entry. Raises BadCursor."""
    if not re.fullmatch(ENTRY_PATTERN, id):
        raise BadCursor(id, NEXT)
    return f"({id}"
