"""A site: machines behind a balancer, their scorers, one Redis; and the calls that come to it.

Events are gathered by the second and applied to arrays: a day of 100,000 live calls has 14 million
calls, and a process for each, with simpy, took 15 times as long as this.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.costs import Costs
from tests.benchmarks.simulation.call_table import NOWHERE, CallTable, Rows
from tests.benchmarks.simulation.demand import Demand
from tests.benchmarks.simulation.faults import (
    Fault,
    MachinesDie,
    RedisDies,
    RollingUpdate,
    ScorersDie,
)
from tests.benchmarks.simulation.outcome import SERIES_S, Outcome
from tests.benchmarks.simulation.providers import PROVIDERS, Failure
from tests.benchmarks.simulation.queues import KNEE, QUEUE_MAX, Queues
from tests.benchmarks.simulation.redis_queue import RedisQueue


@dataclass(frozen=True, slots=True)
class Layout:
    """What a site consists of, beside its Redis.

    Args:
        machines: that take calls.
        calls_a_machine: that each admits.
        scorers: of a pool that all machines share; 0: each machine scores its own calls.
        windows_a_scorer: that each of the pool scores in a second.
    """

    machines: int
    calls_a_machine: int
    scorers: int = 0
    windows_a_scorer: float = 0.0


class Site:
    """Simulates one site; the same arguments give the same outcome.

    The calls that come depend on `demand` and `seed` alone, whatever the site consists of.

    Args:
        faults: what goes wrong, at seconds from the start.
    """

    def __init__(
        self,
        layout: Layout,
        demand: Demand,
        costs: Costs,
        faults: Sequence[Fault] = (),
        seed: int = 0,
    ) -> None:
        self.outcome = Outcome()
        self._layout, self._demand, self._costs = layout, demand, costs
        arrivals, balancer = np.random.SeedSequence(seed).spawn(2)
        self._arrivals, self._balancer = map(np.random.default_rng, (arrivals, balancer))
        self._calls = CallTable()
        self._load = np.zeros(layout.machines, np.int64)
        self._up = np.ones(layout.machines, bool)
        self._offered = np.ones(layout.machines, bool)  # the balancer sends calls there
        self._attempts: dict[int, list[tuple[Rows, Rows]]] = {}  # by second: rows, numbers of calls
        self._agenda: list[tuple[float, int, Callable[[int], None]]] = []
        self._order = itertools.count()
        self._to_update: deque[int] = deque()
        self._draining: dict[int, float] = {}  # by machine: until when
        if layout.scorers:
            rates = np.array([layout.scorers * layout.windows_a_scorer])
            self._queues = Queues(rates, costs, QUEUE_MAX * layout.scorers)
        else:
            rate = costs.machine_calls * costs.readings_a_s / KNEE
            self._queues = Queues(np.full(layout.machines, rate), costs)
        self._redis = RedisQueue(layout.machines, costs)
        for fault in faults:
            self._plan(fault)

    @property
    def connected(self) -> list[int]:
        """How many calls each machine has."""
        return self._load.tolist()

    def run(self) -> Outcome:
        """Simulates all of the demand's seconds; returns what became of the calls."""
        failed, oldest_s = 0, 0.0
        for second, (lengths, kinds) in enumerate(self._demand.arrivals(self._arrivals)):
            while self._agenda and self._agenda[0][0] <= second:
                heapq.heappop(self._agenda)[2](second)
            self._end_calls(second)
            self._begin_calls(second, lengths, kinds)
            self._finish_drains(second)
            calls = self._load if not self._layout.scorers else self._load.sum(keepdims=True)
            self._redis.step(self._queues.step(calls.astype(float)))
            oldest_s = max(oldest_s, self._redis.oldest_s)
            if second % SERIES_S == 0:
                outcome, late_s = self.outcome, self._queues.late_p95_s()
                outcome.calls.append(float(self._load.sum()))
                outcome.failed.append(outcome.refused + outcome.lost - failed)
                outcome.late_s.append(late_s)
                outcome.page_s.append(late_s + oldest_s)
                failed, oldest_s = outcome.refused + outcome.lost, 0.0
        self.outcome.live = len(self._calls)
        self.outcome.dropped = self._queues.dropped
        return self.outcome

    # Calls.

    def _end_calls(self, second: int) -> None:
        rows = self._calls.over(second)
        machines = self._calls.machine[rows]
        connected = machines != NOWHERE
        self._unload(machines[connected])
        self.outcome.ended += int(connected.sum())
        self._give_up(rows[~connected])
        self._calls.remove(rows[connected])

    def _begin_calls(self, second: int, lengths: Rows, kinds: Rows) -> None:
        for rows, numbers in self._attempts.pop(second, ()):
            self._connect(rows[self._calls.number[rows] == numbers], second)
        self.outcome.begun += len(lengths)
        self._connect(self._calls.add(second + lengths, kinds), second)

    def _connect(self, rows: Rows, second: int) -> None:
        """Has the balancer send calls to machines; some find a dead one, some no room."""
        dead = self._offered & ~self._up
        if dead.any():
            missed = self._balancer.random(len(rows)) < dead.sum() / self._offered.sum()
            self._fail(rows[missed], second, Failure.UNREACHABLE)
            rows = rows[~missed]
        placed = self._place(rows)
        self.outcome.moved += int(self._calls.had[rows[:placed]].sum())
        self._calls.had[rows[:placed]] = True
        self._calls.tries[rows[:placed]] = 0
        self._fail(rows[placed:], second, Failure.REFUSED)

    def _place(self, rows: Rows) -> int:
        """Puts the first of these calls on the machines with the fewest; returns how many."""
        placed = 0
        most = self._layout.calls_a_machine
        able = np.flatnonzero(self._offered & self._up & (self._load < most))
        while placed < len(rows) and len(able):
            least = able[np.argsort(self._load[able], kind="stable")][: len(rows) - placed]
            self._calls.machine[rows[placed : placed + len(least)]] = least
            self._load[least] += 1
            placed += len(least)
            able = able[self._load[able] < most]
        return placed

    def _fail(self, rows: Rows, second: int, failure: Failure) -> None:
        """Has calls without a connection try again later, as their providers do, or give up."""
        if not len(rows):
            return
        for kind, provider in enumerate(PROVIDERS):
            mine = rows[self._calls.kind[rows] == kind]
            had = self._calls.had[mine]
            most = np.where(
                had, provider.attempts(failure, True), provider.attempts(failure, False)
            )
            again = mine[self._calls.tries[mine] < most]
            self._give_up(mine[self._calls.tries[mine] >= most])
            tries = self._calls.tries[again]
            for count in np.unique(tries).tolist():
                those = again[tries == count]
                at = second + max(1, round(provider.first_s * provider.growth**count))
                numbers = self._calls.number[those]
                self._attempts.setdefault(at, []).append((those, numbers))
            self._calls.tries[again] += 1

    def _give_up(self, rows: Rows) -> None:
        """Counts calls without a connection as lost or refused, and removes them."""
        if not len(rows):
            return
        had = int(self._calls.had[rows].sum())
        self.outcome.lost += had
        self.outcome.refused += len(rows) - had
        self._calls.remove(rows)

    def _unload(self, machines: NDArray[np.int64]) -> None:
        self._load -= np.bincount(machines, minlength=len(self._load))

    def _disconnect(self, machines: Iterable[int], second: int) -> None:
        marked = np.zeros(len(self._load), bool)
        marked[list(machines)] = True
        rows = self._calls.on(marked)
        self._unload(self._calls.machine[rows])
        self._calls.machine[rows] = NOWHERE
        self._fail(rows, second, Failure.DROPPED)

    # Faults.

    def _at(self, second: float, action: Callable[[int], None]) -> None:
        heapq.heappush(self._agenda, (second, next(self._order), action))

    def _plan(self, fault: Fault) -> None:
        match fault:
            case MachinesDie(at_s, count, for_s):
                machines = range(min(count, self._layout.machines))
                self._at(at_s, lambda now: self._kill(machines, now))
                self._at(at_s + self._costs.noticed_s, lambda now: self._hide(machines))
                self._at(at_s + for_s, lambda now: self._bring_back(machines))
            case ScorersDie(at_s, count, for_s):
                lost = count * self._layout.windows_a_scorer
                self._at(at_s, lambda now: self._change_rate(-lost))
                self._at(at_s + for_s, lambda now: self._change_rate(lost))
            case RedisDies(at_s, for_s):
                self._at(at_s, lambda now: self._set_redis(False))
                self._at(at_s + for_s, lambda now: self._set_redis(True))
            case RollingUpdate(at_s, at_once):
                self._to_update = deque(range(self._layout.machines))
                for _ in range(at_once):
                    self._at(at_s, self._drain_next)

    def _kill(self, machines: Iterable[int], second: int) -> None:
        self._up[list(machines)] = False
        self._disconnect(machines, second)

    def _hide(self, machines: Iterable[int]) -> None:
        self._offered[[each for each in machines if not self._up[each]]] = False

    def _bring_back(self, machines: Iterable[int]) -> None:
        self._up[list(machines)] = self._offered[list(machines)] = True

    def _change_rate(self, by: float) -> None:
        self._queues.rates = np.maximum(0.0, self._queues.rates + by)

    def _set_redis(self, up: bool) -> None:
        self._redis.up = up

    def _drain_next(self, second: int) -> None:
        if self._to_update:
            machine = self._to_update.popleft()
            self._offered[machine] = False
            stops_at = second + self._costs.noticed_s
            self._draining[machine] = stops_at + self._costs.drain_s
            self._at(stops_at, lambda now: self._ask_to_move(machine))

    def _ask_to_move(self, machine: int) -> None:
        """Has those that can connect elsewhere do so, as far as there is room."""
        marked = np.zeros(len(self._load), bool)
        marked[machine] = True
        rows = self._calls.on(marked)
        able = np.array([provider.moves for provider in PROVIDERS])
        rows = rows[able[self._calls.kind[rows]]]
        placed = self._place(rows)
        self._load[machine] -= placed
        self.outcome.moved += placed

    def _finish_drains(self, second: int) -> None:
        for machine, until in list(self._draining.items()):
            if self._load[machine] == 0 or second >= until:
                del self._draining[machine]
                self._kill([machine], second)
                ready_at = second + self._costs.restart_s
                self._at(ready_at, lambda now, machine=machine: self._bring_back([machine]))
                self._at(ready_at, self._drain_next)
