"""Simulates a day of 100,000 live calls at 20 sites, and what losses of machines do to them.

Each site has just as many machines as it needs without a loss. Machines, Redis and their costs are
those of `costs.py`; nothing is run. The picture is written to the file that `BENCH_PICTURE` names.
`BENCH_SITES` is how many sites there are, 20 by default: the last ones have no faults.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from tests.benchmarks.costs import Costs
from tests.benchmarks.simulation.demand import PEAK_HOUR, Demand
from tests.benchmarks.simulation.faults import (
    Fault,
    MachinesDie,
    RedisDies,
    RollingUpdate,
    ScorersDie,
)
from tests.benchmarks.simulation.outcome import Outcome
from tests.benchmarks.simulation.picture import svg
from tests.benchmarks.simulation.site import Layout, Site
from tests.benchmarks.sizing import SITE_CALLS

SITES = int(os.environ.get("BENCH_SITES", "20"))
PICTURE = os.environ.get("BENCH_PICTURE")
RACKS = 6  # over which a site's machines are spread
AT_S = (PEAK_HOUR + 0.5) * 3600.0
SIZES = (100, 1_000, SITE_CALLS)  # of one site, for which machines are counted
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens at one of the sites on the day."""

    name: str
    faults: tuple[Fault, ...] = ()
    scorers: int = 0  # of a pool; 0: each machine scores its own calls


def scenarios(machines: int, costs: Costs) -> list[Scenario]:
    """Returns what happens, site by site; nothing does at those after the last."""
    rack = -(-machines // RACKS)
    pool = math.ceil(SITE_CALLS * costs.readings_a_s / (windows_a_scorer(costs) * 0.8))
    return [
        Scenario("one machine dies at the peak", (MachinesDie(AT_S, 1, 600.0),)),
        Scenario("a rack dies at the peak", (MachinesDie(AT_S, rack, HOUR_S),)),
        Scenario("Redis dies, its replica takes over", (RedisDies(AT_S, costs.failover_s),)),
        Scenario("Redis dies without a replica", (RedisDies(AT_S, 600.0),)),
        Scenario("update from midnight, one by one", (RollingUpdate(0.0),)),
        Scenario("update at the peak, four at once", (RollingUpdate(AT_S - HOUR_S, 4),)),
        Scenario(f"pool of {pool}: a scorer dies", (ScorersDie(AT_S, 1, 600.0),), pool),
        Scenario(f"pool of {pool + 1}: a scorer dies", (ScorersDie(AT_S, 1, 600.0),), pool + 1),
    ]


def windows_a_scorer(costs: Costs) -> float:
    """Returns what one scorer of a pool, two cores, scores in a second."""
    return 2 * 1000 / costs.window_ms


def admitted(costs: Costs) -> int:
    """Returns how many calls a machine is given."""
    return int(costs.machine_calls * costs.machine_load)


def busiest(calls: int, costs: Costs, hours: float = 3.0) -> Demand:
    """Returns the fullest hours of a site's day."""
    return Demand(calls, costs.call_s, PEAK_HOUR + 0.5 - hours / 2, PEAK_HOUR + 0.5 + hours / 2)


def needed(demand: Demand, costs: Costs) -> int:
    """Returns how many machines a site needs that refuses no call."""

    def refuses(machines: int) -> bool:
        return Site(Layout(machines, admitted(costs)), demand, costs).run().refused > 0

    least = most = math.ceil(demand.calls / admitted(costs))
    while refuses(most):
        least, most = most + 1, math.ceil(most * 1.3) + 1
    while least < most:
        middle = (least + most) // 2
        least, most = (middle + 1, most) if refuses(middle) else (least, middle)
    return most


def with_racks(machines: int, racks: int = RACKS) -> int:
    """Returns how many machines leave so many when the largest of their racks is lost."""
    total = machines
    while total - math.ceil(total / racks) < machines:
        total += 1
    return total


def simulate(scenario: Scenario, machines: int, costs: Costs, seed: int) -> Outcome:
    """Returns what becomes of one site's calls on the day."""
    layout = Layout(machines, admitted(costs), scenario.scorers, windows_a_scorer(costs))
    return Site(layout, Demand(SITE_CALLS, costs.call_s), costs, scenario.faults, seed).run()


def tables() -> Iterator[Table]:
    """Yields the tables of machines and of the day."""
    costs = Costs()
    machines = {calls: needed(busiest(calls, costs), costs) for calls in SIZES}
    yield table_of_machines(machines, costs)
    each = machines[SITE_CALLS]
    days = scenarios(each, costs)[:SITES]
    days += [Scenario("nothing")] * (SITES - len(days))
    outcomes = [simulate(scenario, each, costs, seed) for seed, scenario in enumerate(days)]
    yield table_of_day(days, outcomes, each)
    if PICTURE:
        shown = min(len(days), 8)
        names = [scenario.name for scenario in days[:shown]]
        Path(PICTURE).write_text(svg(names, outcomes[:shown]), encoding="utf-8")


def table_of_machines(machines: Mapping[int, int], costs: Costs) -> Table:
    """Returns how many machines a site needs, by its calls and by what it outlasts."""
    title = f"Machines that refuse no call, {admitted(costs)} calls each"
    columns = ("on average", "needed (N)", "one lost (N+1)", f"one of {RACKS} racks lost")
    table = Table("calls at the peak", *columns, title=title)
    for calls, count in machines.items():
        counts = (math.ceil(calls / admitted(costs)), count, count + 1, with_racks(count))
        table.add_row(f"{calls:,}", *map(str, counts))
    return table


def table_of_day(days: Sequence[Scenario], outcomes: Sequence[Outcome], machines: int) -> Table:
    """Returns the counts of each site with a scenario, of those without, and of all together."""
    columns = ("begun", "refused", "lost", "moved", "windows dropped", "p95 s", "at the page")
    title = f"A day at {len(days)} sites of {SITE_CALLS:,} calls, {machines} machines each (N)"
    table = Table("at a site", *columns, title=title)
    calm = [
        outcome for scenario, outcome in zip(days, outcomes, strict=True) if not scenario.faults
    ]
    for scenario, outcome in zip(days, outcomes, strict=True):
        if scenario.faults:
            table.add_row(scenario.name, *_cells(outcome))
    if calm:
        table.add_row(f"nothing ({len(calm)} of them)", *_cells(_sum(calm)))
    table.add_section()
    table.add_row("all", *_cells(_sum(outcomes)))
    return table


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    total = outcomes[0]
    for outcome in outcomes[1:]:
        total += outcome
    return total


def _cells(outcome: Outcome) -> tuple[str, ...]:
    counts = (outcome.begun, outcome.refused, outcome.lost, outcome.moved, outcome.dropped)
    late = (max(outcome.late_s), max(outcome.page_s))
    return (*(f"{count:,.0f}" for count in counts), *(f"{each:.2f}" for each in late))
