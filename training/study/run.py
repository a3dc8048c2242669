"""Systems x folds x seeds: `kanjo study CONFIG --corpora FOLDER --out runs/NAME`.

A study is a folder, with one folder a run in it. Whoever works on it takes the next run of the
plan that is neither finished nor held by somebody else, and goes on where that run was left. So a
study can be stopped at any time, by Ctrl-C or by kill -9, and any number of processes can share
it: those of one call, the ranks of `torchrun`, calls on several machines. Machines need one folder
in common whose file system keeps POSIX record locks for all of them (NFS does).
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from fcntl import LOCK_EX, LOCK_NB, lockf
from functools import partial
from multiprocessing import (
    get_context,
    parent_process,
    set_forkserver_preload,
    set_start_method,
)
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import distributed
from torch.utils.tensorboard import SummaryWriter

from model.network import EmotionNetwork, operations
from training import checkpoint
from training.data.channel import CONDITIONS
from training.data.manifest import Utterance
from training.data.splits import speaker_split
from training.study.opensmile_svm import run_peer
from training.study.plan import StudyConfig, StudyError, Trainings, chosen, plan, restricted
from training.study.predict import predict
from training.study.predictions import Predictions, Run
from training.study.progress import News, Progress, epochs_of, failed, finished
from training.train import Epoch, TrainConfig, train

STOP_WITHIN_S = 10.0
LONGEST = timedelta(days=20)  # a rank waits for others; gloo counts milliseconds in 32 bits
Tell = Callable[[Run, News], None]


# ---- one run -------------------------------------------------------------------------------------


class Curves:
    """A run's curves in TensorBoard; what is drawn again takes the place of what was drawn before.

    So a run that was killed between its log and its curves has no step twice, and lacks none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._drawn = 0

    def __enter__(self) -> "Curves":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()

    def draw(self, epochs: Sequence[Epoch]) -> None:
        """All that are logged; those that this one has drawn are left alone."""
        if self._writer is None:
            self._writer = SummaryWriter(str(self._folder), purge_step=epochs[0].number)
        for epoch in epochs[self._drawn :]:
            self._writer.add_scalar("loss", epoch.loss, epoch.number)
            self._writer.add_scalar("valid UA", epoch.valid_ua, epoch.number)
            for corpus, ua in epoch.valid.items():
                self._writer.add_scalar(f"valid UA of a corpus/{corpus}", ua, epoch.number)
        self._writer.flush()
        self._drawn = len(epochs)


def perform(
    run: Run,
    training: TrainConfig | None,  # as planned
    config: StudyConfig,
    utterances: Sequence[Utterance],  # as chosen
    out: Path,
    cache: Path,
    told: Callable[[Epoch], None] = lambda epoch: None,
) -> Predictions:
    """Trains or goes on training, tests and saves, in `out/RUN`; curves are in `out/curves/RUN`.

    Raises:
        StudyError, SplitError: there are not enough utterances.
        CheckpointError, RecordingError, PeerError: as `train`, `examine` and `run_peer`.
    """
    folder = out / run.name
    split = restricted(speaker_split(utterances, run.fold, config.folds, config.split_seed), run)
    conditions = {name: CONDITIONS[name] for name in config.conditions}
    about: dict[str, Any] = {"without_speakers": list(split.without_speakers)}
    if training is None:
        began = time.monotonic()
        answers = run_peer(run, split, conditions, cache)
        about["seconds"] = time.monotonic() - began
    else:
        with Curves(out / "curves" / run.name) as curves:

            def every_epoch(epoch: Epoch) -> None:
                curves.draw(epochs_of(run, out))
                told(epoch)

            best = train(training, split, folder, cache, every_epoch)
        epochs = epochs_of(run, out)
        about |= {
            "seconds": sum(epoch.seconds for epoch in epochs),
            "epochs": epochs[-1].of,
            "epoch": checkpoint.load(best)["epoch"],
            "parameters": sum(p.numel() for p in EmotionNetwork(training.network).parameters()),
            "operations": operations(training.network, training.features.window_frames),
            "config": asdict(training),
        }
        answers = predict(run, training, best, split, split.test, cache, conditions)
    answers = replace(answers, about={**answers.about, **about})
    answers.save(folder)
    (folder / "last.pt").unlink(missing_ok=True)
    if run.fold != 0 and run.system not in config.keep:
        (folder / "best.pt").unlink(missing_ok=True)
    return answers


# ---- who does what -------------------------------------------------------------------------------


@contextmanager
def held(path: Path, waiting: bool = False) -> Iterator[bool]:
    """Whether this process has a file to itself, until it lets go or ends, however it ends.

    A record lock, not `flock`: that one stays with the children of a process that was killed.

    Raises:
        StudyError: the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            lockf(file, LOCK_EX if waiting else LOCK_EX | LOCK_NB)
        except (BlockingIOError, PermissionError):
            yield False
        except OSError as error:
            raise StudyError(f"{path}: {error}, expected a file system with locks") from error
        else:
            yield True


def claimed(runs: Sequence[Run], out: Path) -> Iterator[Run]:
    """One run after the other that is still to do, each held until the next is asked for."""
    while True:
        for run in runs:
            with held(out / run.name / "lock") as mine:
                if mine and not finished(run, out) and not failed(run, out):
                    yield run
                    break
        else:
            return


def opened(
    config: StudyConfig,
    trainings: Trainings,
    utterances: Sequence[Utterance],
    out: Path,
) -> None:
    """The study's folder, made or found; what failed in an earlier call may be tried again.

    Raises:
        StudyError: another study, or one of other corpora, is there.
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
    path = out / "config.json"
    with held(out / "lock", waiting=True):
        if path.exists():
            _same_study(json.loads(path.read_text(encoding="utf-8")), study, path)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(study, indent=1) + "\n", encoding="utf-8")
        os.replace(unfinished, path)
        for run in trainings:
            (out / run.name / "error.txt").unlink(missing_ok=True)


def _same_study(found: dict[str, Any], expected: dict[str, Any], path: Path) -> None:
    """Raises StudyError, naming what differs; runs may have been added."""
    expected = json.loads(json.dumps(expected))
    expected["runs"] = {name: it for name, it in expected["runs"].items() if name in found["runs"]}
    before, now = _by_name(found), _by_name(expected)
    differing = [
        f"{name} {before.get(name)!r}, expected {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if differing:
        more = f"; and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise StudyError(f"{path} is of another study: {'; '.join(differing[:5])}{more}")


def _by_name(value: Any, name: str = "") -> dict[str, Any]:
    """Every value of nested ones by its full name; one without any is a value itself."""
    if not isinstance(value, dict) or not value:
        return {name: value}
    inner = (_by_name(below, f"{name}.{key}" if name else key) for key, below in value.items())
    return {full: it for one in inner for full, it in one.items()}


def work(
    config: StudyConfig, utterances: Sequence[Utterance], out: Path, cache: Path, tell: Tell
) -> None:
    """Does runs until none is left that nobody holds.

    One that fails says why in its folder's `error.txt`, and the next one is begun. What a run
    says otherwise is in its `output.txt`.
    """
    trainings = plan(config)
    for run in claimed(list(trainings), out):
        tell(run, "begins")
        folder = out / run.name
        with (
            (folder / "output.txt").open("a", encoding="utf-8") as output,
            redirect_stdout(output),
            redirect_stderr(output),
        ):
            try:
                told = partial(tell, run)
                perform(run, trainings[run], config, utterances, out, cache, told)
            except Exception:  # whatever it is, it is this run's alone
                (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        tell(run, "failed" if failed(run, out) else "finished")


# ---- all of it -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """How a study stands when a call of it ends."""

    finished: tuple[Run, ...]
    failed: tuple[Run, ...]
    elsewhere: tuple[Run, ...]  # others are at them


def outcome(runs: Sequence[Run], out: Path) -> StudyOutcome:
    """What is neither finished nor held by anybody has failed."""
    done = tuple(run for run in runs if finished(run, out))
    elsewhere = []
    for run in runs:
        with held(out / run.name / "lock") as mine:
            if not mine and run not in done:
                elsewhere.append(run)
    rest = tuple(run for run in runs if run not in done and run not in elsewhere)
    return StudyOutcome(done, rest, tuple(elsewhere))


def _sum_up(found: StudyOutcome, out: Path) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    total = sum(map(len, (found.finished, found.failed, found.elsewhere)))
    console.print(f"{out}: {len(found.finished)} of {total} runs are finished")
    if found.elsewhere:
        console.print(f"{len(found.elsewhere)} are being done by others")
    for run in found.failed:
        path = out / run.name / "error.txt"
        why = path.read_text(encoding="utf-8") if path.exists() else "its process was killed"
        console.print(f"{run.name} failed: {why.splitlines()[-1]} ({path})", markup=False)
    if found.failed:
        console.print("The same command tries them again.")


def study(
    config: StudyConfig,
    corpora: Path,
    out: Path,
    cache: Path,
    processes: int | None = None,  # one a core, unless given
    threads: int = 1,  # a process
) -> StudyOutcome:
    """Does what of a study is not done yet, and says at the end how it stands.

    Under `torchrun` every rank is one process, whatever `processes` says.

    Raises:
        StudyError: `out` holds another study, a corpus is missing, nothing can be locked.
        ManifestError: a manifest can't be used.
        KeyboardInterrupt: it was stopped; the same call goes on.
    """
    utterances = chosen(config, corpora)
    trainings = plan(config)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return _as_a_rank(config, trainings, utterances, out, cache, threads)
    opened(config, trainings, utterances, out)
    cores = len(os.sched_getaffinity(0))
    to_do = sum(not finished(run, out) for run in trainings)
    count = min(processes or max(1, cores // threads), to_do)
    with Progress(trainings, out, plain=False, whole=True) as progress:
        try:
            _in_processes(count, progress, config, utterances, out, cache, threads)
        except KeyboardInterrupt:
            progress.say("stopped; the same command goes on")
            raise
    found = outcome(list(trainings), out)
    _sum_up(found, out)
    return found


def _in_processes(
    count: int,
    progress: Progress,
    config: StudyConfig,
    utterances: Sequence[Utterance],
    out: Path,
    cache: Path,
    threads: int,
) -> None:
    """Until all of them have ended; when this one is stopped, they are."""
    context = get_context("spawn")
    working: dict[Connection, SpawnProcess] = {}
    at: dict[Connection, Run] = {}
    # Ctrl-C reaches every process of a terminal; it is for this one, which stops the others.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for _ in range(count):
            here, there = context.Pipe(duplex=False)
            arguments = (config, utterances, out, cache, threads, there)
            working[here] = context.Process(target=_process, args=arguments)
            working[here].start()
            there.close()
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        while working:
            wait([*working, *(process.sentinel for process in working.values())], timeout=2.0)
            for here, process in list(working.items()):
                ended = not process.is_alive()
                with suppress(EOFError):
                    while here.poll():
                        run, news = here.recv()
                        at[here] = run
                        progress.tell(run, news)
                        if news in ("finished", "failed"):
                            del at[here]
                if ended:
                    del working[here]
                    if here in at:
                        progress.tell(at[here], "killed")
            progress.tick()
    finally:
        for process in working.values():
            process.terminate()
        for process in working.values():
            process.join(STOP_WITHIN_S)
            process.kill()


def _process(
    config: StudyConfig,
    utterances: Sequence[Utterance],
    out: Path,
    cache: Path,
    threads: int,
    there: Connection,
) -> None:
    """One of the processes of a call."""
    _as_one_of_many(threads)
    caller = parent_process()
    assert caller is not None

    def end_with_caller() -> None:
        caller.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_caller, daemon=True).start()
    work(config, utterances, out, cache, lambda run, news: there.send((run, news)))


def _as_a_rank(
    config: StudyConfig,
    trainings: Trainings,
    utterances: Sequence[Utterance],
    out: Path,
    cache: Path,
    threads: int,
) -> StudyOutcome:
    """One of the processes of `torchrun`; the first one opens the study and sums it up."""
    _as_one_of_many(threads)
    distributed.init_process_group("gloo", timeout=LONGEST)
    try:
        first = distributed.get_rank() == 0
        if first:
            opened(config, trainings, utterances, out)
        distributed.barrier()
        with Progress(trainings, out, plain=True, whole=first) as progress:
            work(config, utterances, out, cache, progress.tell)
        distributed.barrier()
        found = [outcome(list(trainings), out)] if first else [StudyOutcome((), (), ())]
        if first:
            _sum_up(found[0], out)
        distributed.broadcast_object_list(found)
        return found[0]
    finally:
        distributed.destroy_process_group()


def _as_one_of_many(threads: int) -> None:
    """Ends in order when it is told to; the pools that make its features begin quickly."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    set_forkserver_preload(["training.study.opensmile_svm"])  # and so all else that they need
    set_start_method("forkserver", force=True)
    torch.set_num_threads(threads)
