import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.study.predictions import Predictions, PredictionsError, Run, finished

RUN = Run("selective-mtl", "compact", "both", 1.0, 0.8, fold=2, seed=1)
PREDICTIONS = Predictions(
    run=RUN,
    utterance=np.array(["stage/a.flac", "stage/ü.flac", "street/c.flac"]),
    corpus=np.array(["stage", "stage", "street"]),
    speaker=np.array(["s1", "s2", ""]),
    style=np.array([0, 0, 1]),
    emotion=np.array([0, 3, 2]),
    logits={"utterance/clean": np.arange(12, dtype=np.float32).reshape(3, 4)},
    style_logits={"utterance/clean": np.arange(6, dtype=np.float32).reshape(3, 2)},
    temperature={"utterance": 1.5},
    anger_at={"utterance": 0.4},
    about={"seconds": 12.5, "without_speakers": ["street"], "config": {"epochs": 80}},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / RUN.name
    PREDICTIONS.save(folder)
    return folder


def test_loaded_predictions_equal_the_saved_ones(folder: Path) -> None:
    found = Predictions.load(folder)
    assert (found.run, found.temperature, found.anger_at) == (
        RUN,
        {"utterance": 1.5},
        {"utterance": 0.4},
    )
    assert found.about == PREDICTIONS.about
    for name in ("utterance", "corpus", "speaker", "style", "emotion"):
        np.testing.assert_array_equal(getattr(found, name), getattr(PREDICTIONS, name))
    for name in ("logits", "style_logits"):
        mine, theirs = getattr(found, name), getattr(PREDICTIONS, name)
        assert list(mine) == list(theirs) == ["utterance/clean"]
        np.testing.assert_array_equal(mine["utterance/clean"], theirs["utterance/clean"])
        assert mine["utterance/clean"].dtype == np.float32


def test_every_run_has_a_folder_name_of_its_own() -> None:
    assert RUN.name == "selective-mtl_compact_both_full_0.8_fold2_seed1"
    others = [
        replace(RUN, system="mtl"),
        replace(RUN, network="paper"),
        replace(RUN, trained_on="acted"),
        replace(RUN, share=0.5),
        replace(RUN, ser_weight=0.9),
        replace(RUN, fold=0),
        replace(RUN, seed=2),
    ]
    assert len({RUN.name, *(run.name for run in others)}) == 8


def test_a_run_is_finished_when_its_last_file_is_there(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "answers.npz").write_bytes(b"")
    assert finished(tmp_path) == [folder]
    assert finished(tmp_path / "elsewhere") == []


def test_saving_again_replaces_the_files(folder: Path) -> None:
    replace(PREDICTIONS, temperature={"utterance": 2.0}).save(folder)
    assert Predictions.load(folder).temperature == {"utterance": 2.0}
    assert sorted(path.name for path in folder.iterdir()) == ["answers.npz", "run.json"]


@pytest.mark.parametrize("left", [0, 30, 400])
def test_a_truncated_file_is_refused(folder: Path, left: int) -> None:
    for name in ("answers.npz", "run.json"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: min(left, len(whole) - 2)])
        with pytest.raises(PredictionsError, match=rf"{folder.name}.*expected a finished run"):
            Predictions.load(folder)
        (folder / name).write_bytes(whole)


def test_damaged_bytes_are_refused(folder: Path) -> None:
    damaged = bytearray((folder / "answers.npz").read_bytes())
    start = damaged.index(b"utterance.npy") + len("utterance.npy")
    damaged[start : start + 60] = bytes(60)
    (folder / "answers.npz").write_bytes(damaged)
    with pytest.raises(PredictionsError, match="expected a finished run"):
        Predictions.load(folder)


def test_a_missing_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"FileNotFoundError.*expected a finished run"):
        Predictions.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 2), ("emotions", ["anger", "fear"]), ("styles", ["spontaneous", "acted"])],
)
def test_other_labels_and_formats_are_refused(folder: Path, key: str, value: object) -> None:
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**facts, key: value}))
    with pytest.raises(PredictionsError, match=r"format and labels .*, expected .*'neutral'"):
        Predictions.load(folder)


def test_facts_of_something_else_are_refused(folder: Path) -> None:
    (folder / "run.json").write_text("[1, 2]")
    with pytest.raises(PredictionsError, match="expected a finished run"):
        Predictions.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speaker": np.array(["s1"])}, r"speaker \(1,\), expected \(3,\)"),
        ({"emotion": np.array([0, 4, 1])}, "emotion 0 to 4, expected 0 to 3"),
        ({"style": np.array([0, -1, 1])}, "style -1 to 1, expected 0 to 1"),
        (
            {"logits": {"utterance/clean": np.zeros((3, 2), np.float32)}},
            r"utterance/clean \(3, 2\), expected \(3, 4\)",
        ),
        (
            {"logits": {"utterance/clean": np.full((3, 4), np.nan, np.float32)}},
            "utterance/clean has 12 logits that are not finite, expected none",
        ),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(PredictionsError, match=rf"{RUN.name}: {message}"):
        replace(PREDICTIONS, **change)  # type: ignore[arg-type]
