"""A study's folder: its config, a folder for each run, and locks that divide runs up.

A run's folder holds `log.jsonl`, `last.pt` and `best.pt` while it is trained, `run.json` once it is
finished, `error.txt` if it failed, `output.txt` with what it printed, and `lock`.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, LOCK_NB, lockf
from pathlib import Path

from model.files import atomic_write
from training.data.manifest import Utterance
from training.differences import differences
from training.study.plan import StudyConfig, StudyError, Trainings, teacher_of
from training.study.predictions import Run
from training.train import Epoch

MOST_DIFFERENCES = 5  # named in an error


def finished(run: Run, out: Path) -> bool:
    return (out / run.name / "run.json").exists()


def failed(run: Run, out: Path) -> bool:
    """Returns whether the run failed in the present call of the study; the next call retries it."""
    return (out / run.name / "error.txt").exists()


def logged_epochs(run: Run, out: Path) -> list[Epoch]:
    """Returns the epochs in the log of a run's training."""
    log = out / run.name / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [Epoch(**json.loads(line)) for line in lines]


# ---- locks -------------------------------------------------------------------------------------


@contextmanager
def file_lock(path: Path, wait: bool = False) -> Iterator[bool]:
    """Locks a file for this process, and yields whether that succeeded.

    With `wait` it blocks until the file is free. The lock ends with the block or with the process.
    It is a record lock, because a lock by `flock` would survive in the children of a killed
    process.

    Raises:
        StudyError: the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            lockf(file, LOCK_EX if wait else LOCK_EX | LOCK_NB)
        except (BlockingIOError, PermissionError):
            yield False
        except OSError as error:
            raise StudyError(f"{path}: {error}, expected a file system with locks") from error
        else:
            yield True


def claimed(trainings: Trainings, out: Path) -> Iterator[Run]:
    """Yields one unfinished run after the other, each locked until the next one is asked for.

    A run that needs a teacher comes after its teacher's. If another process is at that, the run is
    left to it.
    """
    while True:
        for run, training in trainings.items():
            teacher = teacher_of(run, training)
            if teacher and not finished(teacher, out) and not failed(teacher, out):
                continue
            with file_lock(out / run.name / "lock") as locked:
                if locked and not finished(run, out) and not failed(run, out):
                    yield run
                    break
        else:
            return


# ---- the study ---------------------------------------------------------------------------------


def open_study(
    config: StudyConfig,
    trainings: Trainings,
    utterances: Sequence[Utterance],
    out: Path,
) -> None:
    """Creates the study's folder or compares what is there; failed runs may then be retried.

    Raises:
        StudyError: the folder holds another study, or one of other utterances.
    """
    lists: dict[str, list[str]] = defaultdict(list)
    for u in utterances:
        lists[u.corpus].append(f"{u.path.name} {u.speaker} {u.emotion} {u.style}")
    study = {
        "folds": config.folds,
        "split_seed": config.split_seed,
        "conditions": list(config.conditions),
        "utterances": {
            name: f"{len(own)}, {hashlib.sha256(chr(10).join(own).encode()).hexdigest()[:16]}"
            for name, own in lists.items()
        },
        "runs": {
            run.name: asdict(training) if training else {} for run, training in trainings.items()
        },
    }
    text = json.dumps(study, indent=1) + "\n"
    path = out / "config.json"
    with file_lock(out / "lock", wait=True):
        if path.exists():
            _expect_same_study(path, text)
        with atomic_write(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        for run in trainings:
            (out / run.name / "error.txt").unlink(missing_ok=True)


def _expect_same_study(path: Path, text: str) -> None:
    """Raises StudyError, naming what differs; runs may have been added."""
    found, expected = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
    expected["runs"] = {name: it for name, it in expected["runs"].items() if name in found["runs"]}
    if differing := differences(found, expected):
        rest = len(differing) - MOST_DIFFERENCES
        more = f"; and {rest} more" if rest > 0 else ""
        named = "; ".join(differing[:MOST_DIFFERENCES])
        raise StudyError(f"{path} is of another study: {named}{more}")


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """The state of a study's runs when a call of it ends."""

    finished: tuple[Run, ...]
    failed: tuple[Run, ...]
    elsewhere: tuple[Run, ...]  # in progress in other processes


def outcome(runs: Sequence[Run], out: Path) -> StudyOutcome:
    """Returns the state of all runs; one that is neither finished nor locked has failed."""
    done = tuple(run for run in runs if finished(run, out))
    elsewhere = []
    for run in runs:
        with file_lock(out / run.name / "lock") as locked:
            if not locked and run not in done:
                elsewhere.append(run)
    rest = tuple(run for run in runs if run not in done and run not in elsewhere)
    return StudyOutcome(done, rest, tuple(elsewhere))
