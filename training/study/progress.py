"""Shows the progress of a study and of its runs on stderr."""

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from training.progress import PLAIN_INTERVAL_S
from training.study.folder import failed, finished, logged_epochs
from training.study.plan import Trainings, cost
from training.study.predictions import Run
from training.train import Epoch

News = Epoch | Literal["begins", "finished", "failed", "killed"]


class StudyProgress:
    """A bar for each running run and one for the study; without a terminal, plain lines.

    Plain lines of one run, and those of the study, are PLAIN_INTERVAL_S apart at least.
    """

    def __init__(
        self,
        trainings: Trainings,
        out: Path,
        *,
        plain: bool,
        whole: bool,  # plain lines about the study too, or only about the runs of this process
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Runs have sys.stderr redirected; these lines go to the original stream.
        self._console = Console(file=sys.__stderr__, highlight=False)
        self._plain = plain or not self._console.is_terminal
        self._whole = whole
        self._clock = clock
        self._trainings = trainings
        self._out = out
        self._costs = {run: cost(run, training) for run, training in trainings.items()}
        # The share of each run's epochs that is done, by this call or an earlier one.
        self._shares = {
            run: epochs[-1].number / epochs[-1].of
            for run in trainings
            for epochs in [logged_epochs(run, out)]
            if epochs
        }
        self._tasks: dict[Run, TaskID] = {}
        self._printed_at: dict[Run | None, float] = {}  # None: the study
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=self._plain,
            get_time=clock,
            speed_estimate_period=24 * 3600,
        )
        total = sum(self._costs.values()) or 1.0
        self._study = self._bars.add_task("study", total=total, state="")

    def __enter__(self) -> "StudyProgress":
        self._bars.start()
        self.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._plain:
            self._bars.stop()

    def print(self, message: str) -> None:
        """Prints a message about the study."""
        self._console.print(f"study: {message}")

    def report(self, run: Run, news: News) -> None:
        """Shows what happened to a run: an epoch ended, or the run began or ended."""
        if news == "begins":
            done = len(logged_epochs(run, self._out))
            self._tasks[run] = self._bars.add_task(
                run.name, total=None, completed=done, state="begins"
            )
            self._print_line(run, "begins")
        elif isinstance(news, Epoch):
            state = (
                f"epoch {news.number}/{news.of}, loss {news.loss:.3f}, valid UA {news.valid_ua:.3f}"
            )
            self._bars.update(self._tasks[run], total=news.of, completed=news.number, state=state)
            self._shares[run] = news.number / news.of
            self._print_line(run, f"{state}{self._left(self._tasks[run])}", PLAIN_INTERVAL_S)
        else:
            self._bars.remove_task(self._tasks.pop(run))
            self._print_line(run, news)
        self.refresh()

    def refresh(self) -> None:
        """Shows the state of the study, of which other processes may do a share."""
        done = [run for run in self._trainings if finished(run, self._out)]
        wrong = [run for run in self._trainings if failed(run, self._out)]
        shares = {**self._shares, **dict.fromkeys(wrong, 1.0), **dict.fromkeys(done, 1.0)}
        state = f"{len(done)} of {len(self._trainings)} runs"
        state += f", {len(wrong)} failed" if wrong else ""
        completed = sum(self._costs[run] * share for run, share in shares.items())
        self._bars.update(self._study, completed=completed, state=state)
        if self._whole:
            self._print_line(None, f"{state}{self._left(self._study)}", PLAIN_INTERVAL_S)

    def _left(self, task: TaskID) -> str:
        seconds = self._bars.tasks[self._bars.task_ids.index(task)].time_remaining
        return "" if seconds is None else f", {timedelta(seconds=round(seconds))} left"

    def _print_line(self, run: Run | None, text: str, every_s: float = 0.0) -> None:
        now = self._clock()
        if self._plain and now - self._printed_at.get(run, -every_s) >= every_s:
            self._printed_at[run] = now
            self._console.print(f"{run.name if run else 'study'}: {text}", soft_wrap=True)
