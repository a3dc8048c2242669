"""From calls to sockets, cores, Redis and network: the arithmetic of `docs/scaling.md`."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

from service.store.feed import GATHER_S, SUBSCRIBER_LIMIT
from tests.benchmarks.costs import Costs

SITE_CALLS = 5_000  # of one site: what is more is divided into several
SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
MOST_CALLS = 1_000_000
REDIS_GB = 64.0  # memory of a Redis


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a number of calls needs that are live at the same time, at the peak.

    Args:
        calls: live on average.
        most: of one site.
    """

    calls: int
    costs: Costs
    most: int = SITE_CALLS

    @property
    def sites(self) -> int:
        return math.ceil(self.calls / self.most)

    @property
    def site_calls(self) -> float:
        """How many calls are live at one site at the peak."""
        return self.calls / self.sites

    @property
    def admitted(self) -> float:
        """How many calls one machine admits."""
        return self.costs.machine_calls * self.costs.machine_load

    @property
    def site_machines(self) -> int:
        """Machines of one site, one more than it needs: calls vary by three of their roots."""
        return math.ceil((self.site_calls + 3 * self.site_calls**0.5) / self.admitted) + 1

    @property
    def messages_a_s(self) -> float:
        return self.calls / self.costs.frame_s

    @property
    def received_mbit(self) -> float:
        """What all services receive in messages of audio, Mbit a second."""
        return self.messages_a_s * (self.costs.message_bytes + self.costs.header_bytes) * 8e-6

    @property
    def memory_gb(self) -> float:
        """The memory of all services and their calls, GB."""
        machines = self.sites * self.site_machines
        return (machines * self.costs.ready_mb + self.calls * self.costs.call_mb) / 1000

    @property
    def compact_gpus(self) -> float:
        gflops = self.calls * self.costs.readings_a_s * self.costs.window_gflop
        return gflops / (1000 * self.costs.gpu_tflops * self.costs.gpu_share)

    @property
    def base_gpus(self) -> float:
        speech_s = self.calls * self.costs.talk
        gflops = speech_s * self.costs.encoder_gflop
        encoder = gflops / (1000 * self.costs.gpu_tflops * self.costs.gpu_share)
        return encoder + self.compact_gpus

    # One site's Redis.

    @property
    def events_a_s(self) -> float:
        """Events of a site: its readings, steps of alerts, starts and ends of calls."""
        alerts = 3 * self.costs.alerts_an_hour / 3600
        return self.site_calls * (self.costs.readings_a_s + alerts + 2 / self.costs.call_s)

    def write_cores(self, reading_us: float) -> float:
        """Redis's time for all writes of a site."""
        costs = self.costs
        us_a_call = (
            costs.readings_a_s * reading_us
            + costs.alerts_an_hour / 3600 * costs.alert_us
            + costs.call_us / costs.call_s
            + costs.beat_us / costs.beat_s
        )
        return self.site_calls * us_a_call / 1e6

    @property
    def alone_cores(self) -> float:
        """The same, each reading written alone."""
        return self.write_cores(self.costs.write_us)

    @property
    def together_cores(self) -> float:
        """The same, readings written together, as they are once Redis is busy."""
        return self.write_cores(self.costs.write_together_us)

    @property
    def read_cores(self) -> float:
        """Redis's time for all services of a site that read all of its events."""
        return self.site_machines * self.events_a_s * self.costs.event_us / 1e6

    @property
    def redis_sends_mbit(self) -> float:
        return self.site_machines * self.events_a_s * self.costs.event_bytes * 8e-6

    @property
    def redis_disk_mb(self) -> float:
        """What one site's Redis appends to its file and sends to a replica, MB a second."""
        return self.site_calls * self.costs.readings_a_s * self.costs.disk_bytes / 1e6

    @property
    def call_kb(self) -> float:
        """What Redis keeps of one call that is over."""
        costs = self.costs
        readings = costs.call_s * costs.readings_a_s * costs.kept_reading_bytes
        alerts = costs.call_s / 3600 * costs.alerts_an_hour * costs.kept_alert_bytes
        return (costs.kept_call_bytes + readings + alerts) / 1000

    @property
    def calls_a_day(self) -> float:
        """How many calls one site has in a day."""
        return self.site_calls * self.costs.day_h * 3600 / self.costs.call_s

    @property
    def day_gb(self) -> float:
        """What one site's Redis keeps of one day."""
        return self.calls_a_day * self.call_kb / 1e6

    @property
    def kept_gb(self) -> float:
        """What one site's Redis keeps for as long as calls are kept."""
        return self.day_gb * self.costs.retention_days


ROWS: tuple[tuple[str, Callable[[Sizing], float]], ...] = (
    ("sites", lambda n: n.sites),
    ("machines of two cores, N+1", lambda n: n.sites * n.site_machines),
    ("connections", lambda n: n.calls),
    ("messages a second", lambda n: n.messages_a_s),
    ("audio, Mbit/s", lambda n: n.received_mbit),
    ("front end, cores", lambda n: n.calls * n.costs.front_cores),
    ("scoring kanjo-compact, cores", lambda n: n.calls * n.costs.compact_cores),
    ("scoring kanjo-base, cores (assumed)", lambda n: n.calls * n.costs.base_cores),
    ("or graphics cards, compact (assumed)", lambda n: n.compact_gpus),
    ("or graphics cards, base (assumed)", lambda n: n.base_gpus),
    ("memory of the services, GB", lambda n: n.memory_gb),
    ("a site: events a second", lambda n: n.events_a_s),
    ("a site: Redis, cores for writes, each alone", lambda n: n.alone_cores),
    ("a site: Redis, cores for writes, 32 together", lambda n: n.together_cores),
    ("a site: Redis, cores for its readers", lambda n: n.read_cores),
    ("a site: Redis sends, Mbit/s", lambda n: n.redis_sends_mbit),
    ("a site: Redis to disk and replica, MB/s", lambda n: n.redis_disk_mb),
    ("a site: kept of a day, GB", lambda n: n.day_gb),
    ("a site: kept of 30 days, GB", lambda n: n.kept_gb),
)


def largest_site(fits: Callable[[Sizing], bool], costs: Costs) -> int:
    """Returns the most calls of one site that fit."""
    low, high = 0, MOST_CALLS
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(Sizing(middle, costs, middle)) else (low, middle - 1)
    return low


def limits(costs: Costs) -> Iterator[tuple[str, int]]:
    """Yields what bounds a site, and the calls with which it is reached."""
    yield "one machine of two cores", int(costs.machine_calls)
    for days in (30, 7, 1):
        name = f"{REDIS_GB:g} GB of Redis, calls kept for {days} day{'s' * (days > 1)}"
        yield name, largest_site(lambda n, days=days: n.day_gb * days <= REDIS_GB, costs)
    yield (
        f"{costs.redis_load:g} of Redis's core, writes together and readers",
        largest_site(lambda n: n.together_cores + n.read_cores <= costs.redis_load, costs),
    )
    yield (
        f"{costs.redis_load:g} of Redis's core, each write alone, and readers",
        largest_site(lambda n: n.alone_cores + n.read_cores <= costs.redis_load, costs),
    )
    yield (
        "what a reader of events may lag behind, between two reads of the feed",
        largest_site(lambda n: n.events_a_s * GATHER_S <= SUBSCRIBER_LIMIT, costs),
    )
    card = costs.card_gbit * 1000 / 2
    yield (
        "half of Redis's network card",
        largest_site(lambda n: n.redis_sends_mbit <= card, costs),
    )


def sizes_table() -> str:
    """Returns the table of what each number of calls needs, as Markdown."""
    found = [Sizing(calls, Costs()) for calls in SIZES]
    lines = ["| calls | " + " | ".join(f"{calls:,}" for calls in SIZES) + " |"]
    lines.append("|---" * (len(SIZES) + 1) + "|")
    for name, value in ROWS:
        lines.append(f"| {name} | " + " | ".join(number(value(each)) for each in found) + " |")
    return "\n".join(lines) + "\n"


def limits_table() -> str:
    """Returns the table of what bounds a site, the smallest first, as Markdown."""
    lines = ["| what is full | at calls of one site |", "|---|---|"]
    found = sorted(limits(Costs()), key=lambda limit: limit[1])
    lines += [f"| {name} | {_rounded(calls):,} |" for name, calls in found]
    return "\n".join(lines) + "\n"


def costs_table() -> str:
    """Returns the table of the figures, as Markdown."""
    lines = ["| figure | | | where from |", "|---|---|---|---|"]
    costs = Costs()
    for each in fields(Costs):
        about = each.metadata
        source = f"*assumed*: {about['source']}" if about["assumed"] else about["source"]
        value = getattr(costs, each.name)
        lines.append(f"| `{each.name}` | {value:g} | {about['unit']} | {source} |")
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Returns a number with two digits that count, or a whole one."""
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}" if value >= 0.001 else "<0.001"


def _rounded(calls: int) -> int:
    """Returns a number of calls with two digits that count."""
    step: int = 10 ** max(0, len(str(calls)) - 2)
    return calls // step * step
