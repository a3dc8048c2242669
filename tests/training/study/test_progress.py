import io
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.training.study.test_plan import EPOCHS, TINY, config_of
from training.study.plan import Trainings, plan
from training.study.predictions import Run
from training.study.progress import StudyProgress
from training.train import Epoch


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    return plan(config_of(TINY, tmp_path))


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr("sys.__stderr__", text)
    return text


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def epoch(number: int) -> Epoch:
    return Epoch(number, EPOCHS, 1.25, 0.5, {"stage": 0.5}, 0.5, 1.0)


def finish(run: Run, out: Path) -> None:
    (out / run.name).mkdir(parents=True, exist_ok=True)
    (out / run.name / "run.json").touch()


def lines_of(stderr: io.StringIO, run: Run | None = None) -> list[str]:
    start = f"{run.name if run else 'study'}: "
    return [
        line.removeprefix(start)
        for line in stderr.getvalue().splitlines()
        if line.startswith(start)
    ]


def test_without_a_terminal_there_is_a_line_a_run_now_and_then(
    trainings: Trainings, stderr: io.StringIO, tmp_path: Path
) -> None:
    run = next(iter(trainings))
    clock = Clock()
    with StudyProgress(trainings, tmp_path, plain=False, whole=True, clock=clock) as progress:
        progress.report(run, "begins")
        for number in range(1, 11):
            clock.now_s += 10.0
            progress.report(run, epoch(number))
        finish(run, tmp_path)
        progress.report(run, "finished")
    own = lines_of(stderr, run)
    assert own[0] == "begins"
    numbers = [re.match(r"epoch (\d+)/20, loss 1.250, valid UA 0.500", line) for line in own[1:-1]]
    assert [int(match[1]) for match in numbers if match] == [3, 6, 9]
    assert "0:01:50 left" in own[-2]  # eleven epochs of ten seconds
    assert own[-1] == "finished"
    whole = lines_of(stderr)
    assert whole[0].startswith("0 of 4 runs")
    assert len(whole) == 4
    assert len(stderr.getvalue().splitlines()) == len(own) + len(whole)


def test_the_study_counts_what_others_finish_and_what_fails(
    trainings: Trainings, stderr: io.StringIO, tmp_path: Path
) -> None:
    first, second, third, _ = trainings
    finish(first, tmp_path)
    clock = Clock()
    with StudyProgress(trainings, tmp_path, plain=False, whole=True, clock=clock) as progress:
        assert lines_of(stderr)[-1].startswith("1 of 4 runs")
        finish(second, tmp_path)
        (tmp_path / third.name).mkdir()
        (tmp_path / third.name / "error.txt").touch()
        clock.now_s += 60.0
        progress.refresh()
        assert lines_of(stderr)[-1].startswith("2 of 4 runs, 1 failed")


def test_the_time_left_is_for_the_remaining_epochs(
    trainings: Trainings, stderr: io.StringIO, tmp_path: Path
) -> None:
    """The epochs that an earlier call has done do not count as fast ones."""
    run = next(iter(trainings))
    (tmp_path / run.name).mkdir()
    (tmp_path / run.name / "log.jsonl").write_text(
        "".join(json.dumps(asdict(epoch(number))) + "\n" for number in range(1, 11))
    )
    clock = Clock()
    with StudyProgress(trainings, tmp_path, plain=False, whole=True, clock=clock) as progress:
        progress.report(run, "begins")
        for number in (11, 12, 13, 14):
            clock.now_s += 60.0
            progress.report(run, epoch(number))
    assert lines_of(stderr, run)[-1].endswith(
        "epoch 14/20, loss 1.250, valid UA 0.500, 0:06:00 left"
    )


def test_a_rank_that_is_not_the_first_prints_its_own_runs_alone(
    trainings: Trainings, stderr: io.StringIO, tmp_path: Path
) -> None:
    with StudyProgress(trainings, tmp_path, plain=True, whole=False) as progress:
        progress.report(next(iter(trainings)), "begins")
        progress.refresh()
    assert lines_of(stderr) == []
    assert len(stderr.getvalue().splitlines()) == 1
