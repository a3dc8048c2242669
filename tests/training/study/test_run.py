import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.limits import ENOUGH_S
from tests.paths import ROOT
from tests.training.study.test_plan import EPOCHS, TINY, config_of
from training import checkpoint
from training.data.splits import speaker_split
from training.study.folder import file_lock, open_study, outcome
from training.study.plan import StudyConfig, StudyError, chosen, plan
from training.study.predictions import Predictions, Run
from training.study.progress import News
from training.study.run import study, work
from training.train import Epoch

SCRIPT = """
import signal, sys
from pathlib import Path

from training.study.run import StudyConfig, study

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    file, corpora, out, cache, processes = sys.argv[1:]
    config = StudyConfig.from_toml(Path(file))
    found = study(config, Path(corpora), Path(out), Path(cache), int(processes))
    sys.exit(bool(found.failed))
"""


def run_here(config: StudyConfig, corpora: Path, out: Path, cache: Path) -> list[tuple[Run, News]]:
    """Runs a study in this process alone and returns what was reported of its runs."""
    reports: list[tuple[Run, News]] = []
    utterances = chosen(config, corpora)
    open_study(config, plan(config), utterances, out)
    work(config, utterances, out, cache, lambda run, news: reports.append((run, news)))
    return reports


def assert_same(out: Path, other: Path, config: StudyConfig) -> None:
    """Asserts that predictions are equal, bit for bit, and all facts except the seconds."""
    for run in plan(config):
        mine, theirs = Predictions.load(out / run.name), Predictions.load(other / run.name)
        for name in ("utterance", "corpus", "speaker", "style", "emotion"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
        for name in ("logits", "style_logits"):
            ours, others = getattr(mine, name), getattr(theirs, name)
            assert ours.keys() == others.keys()
            for setting, logits in ours.items():
                np.testing.assert_array_equal(
                    logits, others[setting], err_msg=f"{run.name} {setting}"
                )
        assert mine.temperature == theirs.temperature
        assert mine.anger_at == theirs.anger_at
        assert {**mine.about, "seconds": 0} == {**theirs.about, "seconds": 0}


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="module")
def config(tiny_file: Path) -> StudyConfig:
    return StudyConfig.from_toml(tiny_file)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("script") / "call.py"
    file.write_text(SCRIPT)
    return file


@pytest.fixture(scope="module")
def whole(
    config: StudyConfig, corpora: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[tuple[Run, News]]]:
    """A complete study, one run after the other."""
    out = tmp_path_factory.mktemp("studies") / "whole"
    return out, run_here(config, corpora, out, cache)


# ---- a complete study --------------------------------------------------------------------------


def test_every_run_predicts_its_own_test_speakers(
    whole: tuple[Path, list[tuple[Run, News]]], config: StudyConfig, corpora: Path
) -> None:
    out, _ = whole
    split = speaker_split(chosen(config, corpora), 0, 5, config.split_seed)
    for run, training in plan(config).items():
        predictions = Predictions.load(out / run.name)
        own = [u for u in split.test if run.trained_on in ("both", u.style.value)]
        assert predictions.run == run
        assert sorted(predictions.utterance) == sorted(f"{u.corpus}/{u.path.name}" for u in own)
        assert {setting.split("/")[1] for setting in predictions.logits} == {"clean", "mulaw"}
        about = predictions.about
        assert training
        assert about["config"] == json.loads(json.dumps(asdict(training)))
        assert about["epochs"] == EPOCHS
        assert 1 <= about["epoch"] <= EPOCHS
        assert about["seconds"] > 0
        assert about["parameters"] > 0
        assert about["operations"] > 0
        assert about["without_speakers"] == []


def test_runs_report_every_epoch(
    whole: tuple[Path, list[tuple[Run, News]]], config: StudyConfig
) -> None:
    _, reports = whole
    for run in plan(config):
        news = [news for of, news in reports if of == run]
        assert (news[0], news[-1]) == ("begins", "finished")
        epochs = [one for one in news if isinstance(one, Epoch)]
        assert len(epochs) == len(news) - 2 == EPOCHS
        assert [epoch.of for epoch in epochs] == [EPOCHS] * EPOCHS
    assert [run for run, news in reports if news == "begins"] == list(plan(config))


def test_a_finished_run_has_no_checkpoint_to_continue_from(
    whole: tuple[Path, list[tuple[Run, News]]], config: StudyConfig
) -> None:
    for run in plan(config):
        assert not (whole[0] / run.name / "last.pt").exists()
        assert "network" in checkpoint.load(whole[0] / run.name / "best.pt")


def test_weights_of_other_folds_than_the_first_are_kept_if_configured(
    corpora: Path, cache: Path, tmp_path: Path
) -> None:
    text = TINY.replace("run_folds = [0]", 'run_folds = [1]\nkeep = ["baseline"]')
    config = config_of(text.replace(f"epochs = {EPOCHS}", "epochs = 1"), tmp_path)
    run_here(config, corpora, tmp_path / "out", cache)
    for run in plan(config):
        kept = (tmp_path / "out" / run.name / "best.pt").exists()
        assert kept == (run.system == "baseline")


def curves_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_curves_equal_the_log(
    whole: tuple[Path, list[tuple[Run, News]]], config: StudyConfig
) -> None:
    for run in plan(config):
        log = [
            json.loads(line)
            for line in (whole[0] / run.name / "log.jsonl").read_text().splitlines()
        ]
        curves = curves_of(whole[0] / "curves" / run.name)
        styles = {"acted": ["stage"], "spontaneous": ["street"]}
        expected = {
            "loss": [line["loss"] for line in log],
            "valid UA": [line["valid_ua"] for line in log],
        } | {
            f"valid UA of a corpus/{corpus}": [line["valid"][corpus] for line in log]
            for corpus in styles.get(run.trained_on, ["stage", "street"])
        }
        assert curves.keys() == expected.keys()
        for tag, values in expected.items():
            assert [step for step, _ in curves[tag]] == list(range(1, EPOCHS + 1))
            assert [value for _, value in curves[tag]] == pytest.approx(values)


def test_a_finished_study_is_not_repeated(
    whole: tuple[Path, list[tuple[Run, News]]], config: StudyConfig, corpora: Path, cache: Path
) -> None:
    assert run_here(config, corpora, whole[0], cache) == []


# ---- stopped, shared, failed ---------------------------------------------------------------------


@contextmanager
def started_call(
    script: Path, tiny_file: Path, corpora: Path, out: Path, cache: Path, processes: int
) -> Iterator[subprocess.Popen[str]]:
    """A call of a study, in the middle of a run; its whole process group is killed at the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    call = subprocess.Popen(
        [sys.executable, *map(str, (script, tiny_file, corpora, out, cache, processes))],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + ENOUGH_S
        while call.poll() is None and time.monotonic() < until:
            if any(log.read_bytes().count(b"\n") >= 2 for log in out.glob("*/log.jsonl")):
                break
            time.sleep(0.005)
        else:
            pytest.fail(f"no run has begun: {call.poll()} {call.stderr and call.stderr.read()}")
        yield call
    finally:
        with suppress(ProcessLookupError):
            os.killpg(call.pid, signal.SIGKILL)
        call.communicate()


def assert_ended(group: int, within_s: float = ENOUGH_S) -> None:
    """Asserts that all processes of a call end in time."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"{group}: some of its processes are still running")


@pytest.mark.campaign
def test_a_killed_study_continues_to_the_same_bits(
    script: Path,
    tiny_file: Path,
    whole: tuple[Path, list[tuple[Run, News]]],
    config: StudyConfig,
    corpora: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    with started_call(script, tiny_file, corpora, tmp_path, cache, processes=1) as call:
        os.killpg(call.pid, signal.SIGKILL)
        assert call.wait() == -signal.SIGKILL
    left = outcome(list(plan(config)), tmp_path).failed
    begun = [run for run in left if (tmp_path / run.name / "last.pt").exists()]
    assert len(begun) == 1
    done = checkpoint.load(tmp_path / begun[0].name / "last.pt")["epoch"]
    assert 1 < done < EPOCHS

    time.sleep(1.0)  # TensorBoard orders its files by the second they were begun in
    reports = run_here(config, corpora, tmp_path, cache)
    assert [run for run, news in reports if news == "begins"] == list(left)
    epochs = [news for run, news in reports if run == begun[0] and isinstance(news, Epoch)]
    assert len(epochs) == EPOCHS - done
    assert_same(tmp_path, whole[0], config)
    for run in plan(config):
        mine, theirs = (curves_of(out / "curves" / run.name) for out in (tmp_path, whole[0]))
        assert {tag: dict(curve) for tag, curve in mine.items()} == {
            tag: dict(curve) for tag, curve in theirs.items()
        }
        assert all(len(dict(curve)) == len(curve) for curve in mine.values())


@pytest.mark.campaign
def test_ctrl_c_stops_all_processes_and_two_of_them_continue_to_the_same_bits(
    script: Path,
    tiny_file: Path,
    whole: tuple[Path, list[tuple[Run, News]]],
    config: StudyConfig,
    corpora: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    with started_call(script, tiny_file, corpora, tmp_path, cache, processes=2) as call:
        os.killpg(call.pid, signal.SIGINT)  # as a terminal does
        _, stderr = call.communicate(timeout=ENOUGH_S)
        assert call.returncode != 0
        assert "study: stopped; the same command continues it" in stderr
        found = outcome(list(plan(config)), tmp_path)
        assert found.failed
        assert not found.elsewhere
        assert_ended(call.pid)

    found = study(config, corpora, tmp_path, cache, processes=2)
    assert set(found.finished) == set(plan(config))
    assert_same(tmp_path, whole[0], config)


@pytest.mark.campaign
def test_the_ranks_of_torchrun_share_a_study(
    script: Path,
    tiny_file: Path,
    whole: tuple[Path, list[tuple[Run, News]]],
    config: StudyConfig,
    corpora: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, *map(str, (script, tiny_file, corpora, out, cache, 1))],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{out}: 4 of 4 runs are finished" in done.stderr
    for run in plan(config):
        assert done.stderr.count(f"{run.name}: finished") == 1
    assert_same(out, whole[0], config)


def test_a_failed_run_does_not_affect_the_others_and_is_retried(
    whole: tuple[Path, list[tuple[Run, News]]],
    config: StudyConfig,
    corpora: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    bad, *good = plan(config)
    (tmp_path / bad.name).mkdir()
    (tmp_path / bad.name / "last.pt").write_bytes(b"half a check")
    reports = run_here(config, corpora, tmp_path, cache)
    assert [run for run, news in reports if news == "failed"] == [bad]
    error = (tmp_path / bad.name / "error.txt").read_text()
    assert "Traceback" in error
    assert "CheckpointError" in error.splitlines()[-1]
    found = outcome(list(plan(config)), tmp_path)
    assert (found.failed, set(found.finished)) == ((bad,), set(good))

    (tmp_path / bad.name / "last.pt").unlink()
    assert {run for run, _ in run_here(config, corpora, tmp_path, cache)} == {bad}
    assert outcome(list(plan(config)), tmp_path).failed == ()
    assert_same(tmp_path, whole[0], config)


def test_a_run_that_another_process_has_locked_is_left_to_it(
    config: StudyConfig, corpora: Path, cache: Path, tmp_path: Path
) -> None:
    short = config.model_copy(update={"train": {**config.train, "epochs": 1}})
    theirs, *ours = plan(short)
    lock = tmp_path / theirs.name / "lock"
    with file_lock(lock) as locked:
        assert locked
    locking = f"import fcntl, sys; f = open({str(lock)!r}, 'a'); fcntl.lockf(f, fcntl.LOCK_EX); "
    owner = subprocess.Popen(
        [sys.executable, "-c", locking + "print('locked', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert owner.stdout
        assert owner.stdout.readline() == b"locked\n"
        reports = run_here(short, corpora, tmp_path, cache)
        assert [run for run, news in reports if news == "finished"] == ours
        found = outcome(list(plan(short)), tmp_path)
        assert (found.elsewhere, found.failed) == ((theirs,), ())
    finally:
        owner.kill()
        owner.communicate()
    reports = run_here(short, corpora, tmp_path, cache)
    assert [run for run, news in reports if news == "finished"] == [theirs]


def test_another_study_in_the_same_folder_is_refused(
    config: StudyConfig, corpora: Path, tmp_path: Path
) -> None:
    utterances = chosen(config, corpora)
    open_study(config, plan(config), utterances, tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    for change, message in (
        ({"split_seed": 3}, "split_seed 0, expected 3"),
        ({"conditions": ("clean",)}, r"conditions \['clean', 'mulaw'\], expected \['clean'\]"),
        ({"train": {**config.train, "epochs": 9}}, f"fold0_seed0.epochs {EPOCHS}, expected 9"),
        ({"train": {}}, "fold0_seed0.batch_size 8, expected 32; .*; and .* more"),
        ({"systems": config.systems[:1]}, "selective-mtl.* expected None"),
    ):
        other = config.model_copy(update=change)
        with pytest.raises(StudyError, match=f"config.json is of another study: .*{message}"):
            open_study(other, plan(other), utterances, tmp_path)
    with pytest.raises(StudyError, match="utterances.street '40, .*', expected '39"):
        open_study(config, plan(config), utterances[:-1], tmp_path)
    assert (tmp_path / "config.json").read_bytes() == before


def test_runs_can_be_added_to_a_study(config: StudyConfig, corpora: Path, tmp_path: Path) -> None:
    utterances = chosen(config, corpora)
    open_study(config, plan(config), utterances, tmp_path)
    more = config.model_copy(update={"run_folds": (0, 1), "keep": (), "name": "more"})
    open_study(more, plan(more), utterances, tmp_path)
    runs = json.loads((tmp_path / "config.json").read_text())["runs"]
    assert runs.keys() == {run.name for run in plan(more)}
