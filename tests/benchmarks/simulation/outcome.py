"""What became of a site's calls."""

from dataclasses import dataclass, field, fields

SERIES_S = 10  # from one point of the series to the next


@dataclass(slots=True)
class Outcome:
    """Counts of calls, each of which began and is in one of the next four; and series over time.

    A call is refused if it never had a connection, and lost if it had one that broke and no other:
    the telephone call goes on, and is not analysed any more.
    """

    begun: int = 0
    ended: int = 0  # with the telephone call, as it should
    refused: int = 0
    lost: int = 0
    live: int = 0  # at the simulation's end
    moved: int = 0  # connected again to another machine, each time counted
    dropped: float = 0.0  # windows that were not scored
    # Each SERIES_S seconds:
    calls: list[float] = field(default_factory=list)  # with a connection
    failed: list[float] = field(default_factory=list)  # calls refused or lost since the last point
    late_s: list[float] = field(default_factory=list)  # p95, from the end of speech to the reading
    page_s: list[float] = field(default_factory=list)  # the same until Redis has it

    def __add__(self, other: "Outcome") -> "Outcome":
        """Returns the outcome of two sites together; of lateness that of the worse."""
        total = Outcome()
        for each in fields(Outcome):
            mine, others = getattr(self, each.name), getattr(other, each.name)
            if not isinstance(mine, list):
                setattr(total, each.name, mine + others)
            elif each.name in ("calls", "failed"):
                setattr(total, each.name, [a + b for a, b in zip(mine, others, strict=True)])
            else:
                worse = [max(a, b) for a, b in zip(mine, others, strict=True)]
                setattr(total, each.name, worse)
        return total
