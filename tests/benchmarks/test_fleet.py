"""The laws that the simulation of a fleet keeps, whatever its figures are."""

from dataclasses import replace

import pytest

from tests.benchmarks.costs import Costs
from tests.benchmarks.fleet import admitted, busiest, needed, with_racks
from tests.benchmarks.simulation.demand import DAY, Demand
from tests.benchmarks.simulation.faults import (
    Fault,
    MachinesDie,
    RedisDies,
    RollingUpdate,
    ScorersDie,
)
from tests.benchmarks.simulation.outcome import Outcome
from tests.benchmarks.simulation.picture import svg
from tests.benchmarks.simulation.providers import PROVIDERS
from tests.benchmarks.simulation.site import Layout, Site

COSTS = Costs(call_s=30.0, machine_calls=20.0, noticed_s=3.0, drain_s=60.0, restart_s=5.0)
MINUTES = 1 / 60
DEMAND = Demand(60, COSTS.call_s, 10.0, 10.0 + 6 * MINUTES)
AT_S = 180.0  # by when a steady number of calls is live
ENOUGH = Layout(machines=6, calls_a_machine=20)
POOL = replace(ENOUGH, scorers=2, windows_a_scorer=20.0)
FAULTS: dict[str, tuple[Fault, ...]] = {
    "none": (),
    "one machine": (MachinesDie(AT_S, 1, 60.0),),
    "all machines": (MachinesDie(AT_S, 6, 30.0),),
    "Redis": (RedisDies(AT_S, 30.0),),
    "update": (RollingUpdate(60.0),),
    "scorer": (ScorersDie(AT_S, 1, 60.0),),
    "update while a machine dies": (RollingUpdate(60.0, 2), MachinesDie(AT_S, 1, 60.0)),
}
SEEDS = range(3)


def run(layout: Layout, *faults: Fault, seed: int = 0, costs: Costs = COSTS) -> Outcome:
    return Site(layout, DEMAND, costs, faults, seed).run()


@pytest.mark.parametrize("seed", SEEDS)
def test_without_faults_and_with_room_every_call_is_served(seed: int) -> None:
    outcome = run(ENOUGH, seed=seed)
    assert outcome.begun > 600
    assert (outcome.refused, outcome.lost, outcome.dropped) == (0, 0, 0)
    assert max(outcome.page_s) < 1.0


@pytest.mark.parametrize("machines", [2, 6])
@pytest.mark.parametrize("name", FAULTS)
def test_each_call_that_began_ends_is_refused_is_lost_or_is_live(name: str, machines: int) -> None:
    layout = replace(POOL, machines=machines)
    outcome = run(layout, *FAULTS[name])
    parts = outcome.ended + outcome.refused + outcome.lost + outcome.live
    assert outcome.begun == parts
    assert sum(outcome.failed) <= outcome.refused + outcome.lost


@pytest.mark.parametrize("seed", SEEDS)
def test_the_death_of_a_machine_takes_its_calls_and_no_others(seed: int) -> None:
    costs = replace(COSTS, noticed_s=0.0)
    until = replace(DEMAND, to_h=DEMAND.from_h + AT_S / 3600)
    before = Site(ENOUGH, until, costs, seed=seed)
    before.run()
    outcome = run(ENOUGH, *FAULTS["one machine"], seed=seed, costs=costs)
    assert outcome.refused == 0
    assert outcome.lost + outcome.moved == before.connected[0] > 0
    assert outcome.moved > 0  # of the one provider whose client connects again


def test_a_dead_machine_refuses_its_share_of_calls_until_the_balancer_notices() -> None:
    many = replace(ENOUGH, machines=8)
    outcomes = [
        run(many, MachinesDie(AT_S, 3, 100.0), costs=replace(COSTS, noticed_s=noticed_s))
        for noticed_s in (0.0, 10.0, 30.0)
    ]
    refused = [outcome.refused for outcome in outcomes]
    assert refused[0] == 0
    assert refused == sorted(set(refused))


@pytest.mark.parametrize("seed", SEEDS)
def test_more_machines_never_refuse_more_calls(seed: int) -> None:
    refused = [run(replace(ENOUGH, machines=count), seed=seed).refused for count in range(1, 7)]
    assert refused == sorted(refused, reverse=True)
    assert refused[0] > 0 == refused[-1]


def test_calls_depend_on_the_seed_alone() -> None:
    assert run(ENOUGH, seed=1) == run(ENOUGH, seed=1)
    assert run(ENOUGH, seed=1).begun == run(replace(ENOUGH, machines=1), seed=1).begun
    assert run(ENOUGH, seed=1).begun != run(ENOUGH, seed=2).begun


def test_an_update_with_time_to_drain_loses_nothing_and_moves_those_who_can() -> None:
    patient = replace(COSTS, drain_s=3600.0)
    outcome = run(ENOUGH, *FAULTS["update"], costs=patient)
    assert (outcome.refused, outcome.lost) == (0, 0)
    assert outcome.moved > 0


def test_an_update_that_does_not_wait_loses_calls() -> None:
    assert run(ENOUGH, *FAULTS["update"], costs=replace(COSTS, drain_s=5.0)).lost > 0


def test_without_redis_no_call_is_lost_and_the_page_is_late() -> None:
    outcome = run(ENOUGH, *FAULTS["Redis"])
    assert (outcome.refused, outcome.lost, outcome.dropped) == (0, 0, 0)
    assert max(outcome.late_s) < 1.0
    assert 25 < max(outcome.page_s) < 45
    assert outcome.page_s[-1] < 1.0


def test_a_pool_that_lacks_a_scorer_reads_later_and_less_often_and_loses_no_call() -> None:
    outcome = run(POOL, *FAULTS["scorer"])
    assert (outcome.refused, outcome.lost, outcome.dropped) == (0, 0, 0)
    assert 1.0 < max(outcome.late_s) < 4.0
    assert outcome.late_s[-1] < 1.0


def test_a_pool_with_one_scorer_more_than_it_needs_is_in_time_without_it() -> None:
    outcome = run(replace(POOL, scorers=4), *FAULTS["scorer"])
    assert outcome.dropped == 0
    assert max(outcome.late_s) < 1.0


def test_a_pool_without_scorers_drops_windows_and_loses_no_call() -> None:
    outcome = run(POOL, ScorersDie(AT_S, 2, 60.0))
    assert (outcome.refused, outcome.lost) == (0, 0)
    assert outcome.dropped > 1000


def test_the_shares_of_providers_and_of_the_day_are_whole() -> None:
    assert sum(provider.share for provider in PROVIDERS) == pytest.approx(1.0)
    assert Costs().day_h == pytest.approx(sum(DAY), abs=0.05)


def test_machines_in_racks_leave_enough_without_the_largest_rack() -> None:
    assert [with_racks(count, racks=6) for count in (1, 2, 9, 43)] == [2, 3, 11, 52]


def test_the_machines_that_are_needed_refuse_nothing_and_one_less_does() -> None:
    costs = replace(COSTS, machine_calls=10.0)
    demand = busiest(30, costs, hours=0.1)
    count = needed(demand, costs)
    for machines, refuses in ((count, False), (count - 1, True)):
        layout = Layout(machines, admitted(costs))
        assert (Site(layout, demand, costs).run().refused > 0) is refuses


def test_the_picture_has_a_line_for_each_site() -> None:
    outcomes = [run(ENOUGH), run(ENOUGH, *FAULTS["Redis"])]
    drawn = svg(["nothing", "Redis & its replica"], outcomes)
    assert drawn.count('fill="none"') == 3 * len(outcomes)
    assert "Redis &amp; its replica" in drawn
