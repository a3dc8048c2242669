"""How far a study is, for whoever waits for it."""

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from training.study.plan import Trainings, cost
from training.study.predictions import Run
from training.train import Epoch

OFTEN_S = 30.0  # without a terminal, a run and the whole say where they are so often at most

News = Epoch | Literal["begins", "finished", "failed", "killed"]


def finished(run: Run, out: Path) -> bool:
    return (out / run.name / "run.json").exists()


def epochs_of(run: Run, out: Path) -> list[Epoch]:
    """What the training has logged."""
    log = out / run.name / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [Epoch(**json.loads(line)) for line in lines]


def failed(run: Run, out: Path) -> bool:
    """In the present call: the next one tries again."""
    return (out / run.name / "error.txt").exists()


class Progress:
    """A line a running run and one of the whole; without a terminal, a plain line now and then."""

    def __init__(
        self,
        trainings: Trainings,
        out: Path,
        *,
        plain: bool,
        whole: bool,  # or only of the runs of this process
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # What runs say is redirected, what is said of them is not.
        self._console = Console(file=sys.__stderr__, highlight=False)
        self._plain = plain or not self._console.is_terminal
        self._whole = whole
        self._clock = clock
        self._trainings = trainings
        self._out = out
        self._costs = {run: cost(run, training) for run, training in trainings.items()}
        # Of each run's epochs; what was done before is not what this call takes its time for.
        self._parts = {
            run: epochs[-1].number / epochs[-1].of
            for run in trainings
            for epochs in [epochs_of(run, out)]
            if epochs
        }
        self._tasks: dict[Run, TaskID] = {}
        self._said_at: dict[Run | None, float] = {}  # None: the whole
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[where]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=self._plain,
            get_time=clock,
            speed_estimate_period=24 * 3600,
        )
        self._all = self._bars.add_task("study", total=sum(self._costs.values()) or 1.0, where="")

    def __enter__(self) -> "Progress":
        self._bars.start()
        self.tick()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._plain:
            self._bars.stop()

    def say(self, what: str) -> None:
        """Of the study."""
        self._console.print(f"study: {what}")

    def tell(self, run: Run, news: News) -> None:
        """What a run has to say."""
        if news == "begins":
            done = len(epochs_of(run, self._out))
            self._tasks[run] = self._bars.add_task(
                run.name, total=None, completed=done, where="begins"
            )
            self._say(run, "begins")
        elif isinstance(news, Epoch):
            where = (
                f"epoch {news.number}/{news.of}, loss {news.loss:.3f}, valid UA {news.valid_ua:.3f}"
            )
            self._bars.update(self._tasks[run], total=news.of, completed=news.number, where=where)
            self._parts[run] = news.number / news.of
            self._say(run, f"{where}{self._left(self._tasks[run])}", OFTEN_S)
        else:
            self._bars.remove_task(self._tasks.pop(run))
            self._say(run, news)
        self.tick()

    def tick(self) -> None:
        """The whole, of which others may do a part."""
        done = [run for run in self._trainings if finished(run, self._out)]
        wrong = [run for run in self._trainings if failed(run, self._out)]
        parts = {**self._parts, **dict.fromkeys(wrong, 1.0), **dict.fromkeys(done, 1.0)}
        where = f"{len(done)} of {len(self._trainings)} runs"
        where += f", {len(wrong)} failed" if wrong else ""
        completed = sum(self._costs[run] * part for run, part in parts.items())
        self._bars.update(self._all, completed=completed, where=where)
        if self._whole:
            self._say(None, f"{where}{self._left(self._all)}", OFTEN_S)

    def _left(self, task: TaskID) -> str:
        seconds = self._bars.tasks[self._bars.task_ids.index(task)].time_remaining
        return "" if seconds is None else f", {timedelta(seconds=round(seconds))} left"

    def _say(self, run: Run | None, what: str, every_s: float = 0.0) -> None:
        now = self._clock()
        if self._plain and now - self._said_at.get(run, -every_s) >= every_s:
            self._said_at[run] = now
            self._console.print(f"{run.name if run else 'study'}: {what}", soft_wrap=True)
