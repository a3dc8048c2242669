"""Systems x folds x seeds: `kanjo study CONFIG --corpora FOLDER --out runs/NAME`.

A study is a folder, with one folder a run in it. Every process of a study takes the next run of the
plan that is neither finished nor locked by another process, and continues where that run was left.
So a study can be stopped at any time, by Ctrl-C or by kill -9, and any number of processes can
share it: those of one call, the ranks of `torchrun`, calls on several machines. The machines need a
common folder whose file system keeps POSIX record locks for all of them (NFS does).
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import timedelta
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

import torch
from rich.console import Console
from torch import distributed

from training.data.manifest import Utterance
from training.study.folder import StudyOutcome, claimed, failed, finished, open_study, outcome
from training.study.plan import StudyConfig, Trainings, beyond_cap, chosen, plan
from training.study.predictions import Run
from training.study.progress import News, StudyProgress
from training.study.single_run import perform

STOP_WITHIN_S = 10.0
LONGEST = timedelta(days=20)  # timeout of a barrier of ranks; gloo counts milliseconds in 32 bits
Report = Callable[[Run, News], None]


def study(
    config: StudyConfig,
    corpora: Path | Sequence[Path],
    out: Path,
    cache: Path,
    processes: int | None = None,  # one a core, unless given
    threads: int = 1,  # of each process
    encoder: Path | None = None,  # file of the encoder, of networks on embeddings
) -> StudyOutcome:
    """Performs the unfinished runs of a study, and prints and returns the state of all runs.

    Under `torchrun` every rank is one process, and `processes` is ignored.

    Raises:
        StudyError: `out` holds another study, a corpus is missing, nothing can be locked.
        ManifestError: a manifest can't be used.
        KeyboardInterrupt: the study was stopped; the same call continues it.
    """
    utterances = chosen(config, corpora)
    more = beyond_cap(config, corpora, utterances)
    trainings = plan(config)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return _run_as_rank(config, trainings, utterances, out, cache, threads, encoder, more)
    open_study(config, trainings, utterances, out)
    cores = len(os.sched_getaffinity(0))
    to_do = sum(not finished(run, out) for run in trainings)
    count = min(processes or max(1, cores // threads), to_do)
    with StudyProgress(trainings, out, plain=False, whole=True) as progress:
        try:
            _run_processes(count, progress, config, utterances, out, cache, threads, encoder, more)
        except KeyboardInterrupt:
            progress.print("stopped; the same command continues it")
            raise
    found = outcome(list(trainings), out)
    _print_outcome(found, out)
    return found


def work(
    config: StudyConfig,
    utterances: Sequence[Utterance],
    out: Path,
    cache: Path,
    report: Report,
    encoder: Path | None = None,
    more: Sequence[Utterance] = (),
) -> None:
    """Performs runs until none is left that is neither finished nor locked.

    A run that fails leaves its traceback in its folder's `error.txt`, and the next one begins. What
    a run prints is in its `output.txt`.
    """
    trainings = plan(config)
    for run in claimed(trainings, out):
        report(run, "begins")
        folder = out / run.name
        with (
            (folder / "output.txt").open("a", encoding="utf-8") as output,
            redirect_stdout(output),
            redirect_stderr(output),
        ):
            try:
                on_epoch = partial(report, run)
                training = trainings[run]
                perform(run, training, config, utterances, out, cache, on_epoch, encoder, more)
            except Exception:  # any error concerns this run alone
                (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        report(run, "failed" if failed(run, out) else "finished")


def _print_outcome(found: StudyOutcome, out: Path) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    total = sum(map(len, (found.finished, found.failed, found.elsewhere)))
    console.print(f"{out}: {len(found.finished)} of {total} runs are finished")
    if found.elsewhere:
        console.print(f"{len(found.elsewhere)} are in progress in other processes")
    for run in found.failed:
        path = out / run.name / "error.txt"
        why = path.read_text(encoding="utf-8") if path.exists() else "its process was killed"
        console.print(f"{run.name} failed: {why.splitlines()[-1]} ({path})", markup=False)
    if found.failed:
        console.print("The same command tries them again.")


# ---- the processes of one call -----------------------------------------------------------------


def _run_processes(
    count: int,
    progress: StudyProgress,
    config: StudyConfig,
    utterances: Sequence[Utterance],
    out: Path,
    cache: Path,
    threads: int,
    encoder: Path | None,
    more: Sequence[Utterance],
) -> None:
    """Starts the processes and returns when all have ended; they are stopped if this one is."""
    context = get_context("spawn")
    working: dict[Connection, SpawnProcess] = {}
    current: dict[Connection, Run] = {}
    # A terminal sends Ctrl-C to all processes. Only this one handles it, and stops the others.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for _ in range(count):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (config, utterances, out, cache, threads, encoder, more, sender)
            working[receiver] = context.Process(target=_process, args=arguments)
            working[receiver].start()
            sender.close()
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        while working:
            wait([*working, *(process.sentinel for process in working.values())], timeout=2.0)
            for receiver, process in list(working.items()):
                ended = not process.is_alive()
                with suppress(EOFError):
                    while receiver.poll():
                        run, news = receiver.recv()
                        current[receiver] = run
                        progress.report(run, news)
                        if news in ("finished", "failed"):
                            del current[receiver]
                if ended:
                    del working[receiver]
                    if receiver in current:
                        progress.report(current[receiver], "killed")
            progress.refresh()
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
    encoder: Path | None,
    more: Sequence[Utterance],
    sender: Connection,
) -> None:
    """Works in one of the processes of a call, and ends with the process that started it."""
    _set_up_worker(threads)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_parent, daemon=True).start()

    def report(run: Run, news: News) -> None:
        sender.send((run, news))

    work(config, utterances, out, cache, report, encoder, more)


def _run_as_rank(
    config: StudyConfig,
    trainings: Trainings,
    utterances: Sequence[Utterance],
    out: Path,
    cache: Path,
    threads: int,
    encoder: Path | None,
    more: Sequence[Utterance],
) -> StudyOutcome:
    """Works as one rank of `torchrun`; the first rank opens the study and prints the outcome."""
    _set_up_worker(threads)
    distributed.init_process_group("gloo", timeout=LONGEST)
    try:
        first = distributed.get_rank() == 0
        if first:
            open_study(config, trainings, utterances, out)
        distributed.barrier()
        with StudyProgress(trainings, out, plain=True, whole=first) as progress:
            work(config, utterances, out, cache, progress.report, encoder, more)
        distributed.barrier()
        found = [outcome(list(trainings), out)] if first else [StudyOutcome((), (), ())]
        if first:
            _print_outcome(found[0], out)
        distributed.broadcast_object_list(found)
        return found[0]
    finally:
        distributed.destroy_process_group()


def _set_up_worker(threads: int) -> None:
    """Makes SIGTERM end the process in order, and the pools that extract features start fast."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    set_forkserver_preload(["training.study.opensmile_svm"])  # it imports all that a pool needs
    set_start_method("forkserver", force=True)
    torch.set_num_threads(threads)
