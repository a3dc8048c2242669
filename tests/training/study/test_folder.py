from pathlib import Path

from tests.training.study.test_plan import DISTILLED, config_of
from training.study.folder import claimed
from training.study.plan import Trainings, plan
from training.study.predictions import Run


def distilled_before_teacher(folder: Path) -> tuple[Trainings, Run, Run]:
    """Returns the runs of fold 0, the distilled one and its teacher's, in this order."""
    trainings = plan(config_of(DISTILLED, folder))
    of_fold = {run.network: run for run in trainings if run.fold == 0 and not run.held_out}
    distilled, teacher = of_fold["distilled"], of_fold["encoder"]
    return {run: trainings[run] for run in (distilled, teacher)}, distilled, teacher


def test_a_distilled_run_is_claimed_after_its_teacher_s_has_finished(tmp_path: Path) -> None:
    trainings, distilled, teacher = distilled_before_teacher(tmp_path)
    runs = claimed(trainings, tmp_path)
    assert next(runs) == teacher
    assert next(runs) == teacher, "it was not finished"
    (tmp_path / teacher.name / "run.json").touch()
    assert next(runs) == distilled
    (tmp_path / distilled.name / "run.json").touch()
    assert not list(runs)


def test_a_distilled_run_whose_teacher_failed_is_tried_and_says_so(tmp_path: Path) -> None:
    trainings, distilled, teacher = distilled_before_teacher(tmp_path)
    runs = claimed(trainings, tmp_path)
    assert next(runs) == teacher
    (tmp_path / teacher.name / "error.txt").touch()
    assert next(runs) == distilled
