"""The complete offline half at its smallest: corpora, a study of them, its report, its alerts."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import artifact
from model.artifact import Thresholds
from model.encoder import save_encoder
from model.export import export
from model.labels import ALERTED_EMOTIONS, EMOTIONS
from service.replay.simulation import CallSimulator
from tests.encoded_model import tiny_encoder, tiny_spec
from tests.paths import ROOT
from tests.training.alerts.recordings import recorded
from training.alerts import page as alerts_page
from training.alerts.simulated_calls import CallsConfig
from training.alerts.thresholds import TradeoffConfig, evaluate
from training.corpora.preparation import prepare
from training.data.manifest import Utterance, read_corpora
from training.report import build
from training.study.folder import StudyOutcome
from training.study.plan import StudyConfig, chosen, plan
from training.study.predictions import Predictions, Run
from training.study.run import study

SMOKE = ROOT / "training" / "studies" / "smoke.toml"


@pytest.fixture(scope="module")
def config() -> StudyConfig:
    """The study of the file, on the embeddings of a tiny encoder."""
    return StudyConfig.from_toml(SMOKE).model_copy(update={"embedding": asdict(tiny_spec())})


@pytest.fixture(scope="module")
def prepared(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    for name in ("stage", "street"):
        prepare("prepared", corpora / name, folder)
    return folder


@pytest.fixture(scope="module")
def done(
    config: StudyConfig, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, StudyOutcome]:
    folder = tmp_path_factory.mktemp("studies")
    encoder = folder / "encoder.safetensors"
    save_encoder(tiny_encoder(), encoder)
    out, cache = folder / "smoke", folder / "cache"
    return out, study(config, prepared, out, cache, processes=1, encoder=encoder)


@pytest.fixture(scope="module")
def predictions(done: tuple[Path, StudyOutcome], config: StudyConfig) -> dict[Run, Predictions]:
    return {run: Predictions.load(done[0] / run.name) for run in plan(config)}


@pytest.fixture(scope="module")
def figures(
    done: tuple[Path, StudyOutcome], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("report")
    report = build(done[0], out, draws=20)
    assert report.html.read_text().count("<table") > 5
    assert report.markdown.exists()
    assert (report.html.parent / "overview.svg").exists()
    found: dict[str, list[dict[str, Any]]] = json.loads(report.figures.read_text())
    return found


def key(utterance: Utterance) -> tuple[str, str, str]:
    return utterance.corpus, utterance.speaker, utterance.emotion


def test_preparing_a_prepared_corpus_changes_nothing(corpora: Path, prepared: Path) -> None:
    mine, theirs = (Counter(map(key, read_corpora(folder))) for folder in (prepared, corpora))
    assert mine == theirs


def test_every_system_is_done(done: tuple[Path, StudyOutcome], config: StudyConfig) -> None:
    runs = list(plan(config))
    assert set(done[1].finished) == set(runs)
    assert (done[1].failed, done[1].elsewhere) == ((), ())
    held_out = {(run.system, run.held_out) for run in runs if run.held_out}
    assert held_out == {("encoder-linear", "stage"), ("encoder-linear", "street")}
    assert {run.network for run in runs} == {"compact", "encoder", "distilled", "svm", "ridge"}


def test_every_system_is_tested_on_the_same_utterances_once(
    predictions: dict[Run, Predictions], config: StudyConfig, prepared: Path
) -> None:
    everyone = {f"{u.corpus}/{u.path.name}" for u in chosen(config, prepared)}
    tested: dict[tuple[str, float, float], list[str]] = {}
    for run, own in predictions.items():
        if run.ser_weight in (0.8, 1.0) and not run.held_out:
            system = (f"{run.system} {run.network}", run.share, run.ser_weight)
            tested.setdefault(system, []).extend(own.utterance.tolist())
    lists = [sorted(utterances) for utterances in tested.values()]
    assert len(lists) == 4 + 3 + 1 + 3 + 2  # the last are on embeddings or distilled, and peers
    assert all(utterances == lists[0] for utterances in lists)
    assert len(set(lists[0])) == len(lists[0])
    assert set(lists[0]) < everyone


def test_systems_are_tested_in_the_settings_that_they_support(
    predictions: dict[Run, Predictions], config: StudyConfig
) -> None:
    for run, own in predictions.items():
        if run.system == "egemaps":
            supported = {"corpus", "caller", "speaker"}
        else:
            known = run.system in ("kanjo", "encoder-linear")
            supported = {"utterance", "caller", "speaker"} if known else {"utterance"}
        settings = {f"{name}/{condition}" for name in supported for condition in config.conditions}
        assert own.logits.keys() == settings
        with_style = run.system in ("mtl", "selective-mtl", "kanjo")
        assert own.style_logits.keys() == (settings if with_style else set())
        assert own.temperature.keys() == own.anger_at.keys() == supported


def test_the_report_s_figures_are_those_of_the_answers(
    predictions: dict[Run, Predictions], figures: dict[str, list[dict[str, Any]]]
) -> None:
    expected = {(run.system, run.share, run.ser_weight) for run in predictions}
    found = {(row["system"], row["share"], row["ser_weight"]) for row in figures["runs"]}
    assert found == expected
    rows = [row for row in figures["by_corpus"] if row["corpus"] in ("stage", "street")]
    assert {row["system"] for row in rows} == {run.system for run in predictions}
    for row in rows:
        own = [
            a
            for run, a in predictions.items()
            if (run.system, run.network, run.share) == (row["system"], row["network"], 1.0)
            and run.ser_weight != 0.2
            and not run.held_out
            and row["setting"] in a.logits
        ]
        predicted = np.concatenate([a.logits[row["setting"]].argmax(1) for a in own])
        truth = np.concatenate([a.emotion for a in own])
        here = np.concatenate([a.corpus for a in own]) == row["corpus"]
        recalls = [
            np.mean(predicted[here & (truth == emotion)] == emotion)
            for emotion in np.unique(truth[here])
        ]
        assert row["ua"] == pytest.approx(np.mean(recalls))


def test_alerts_of_the_study_s_model_are_evaluated(
    done: tuple[Path, StudyOutcome], tmp_path: Path
) -> None:
    """As `kanjo export` and `kanjo evaluate-alerts --write` do, on calls of speakers held out."""
    best = done[0] / "kanjo_compact_both_full_0.8_fold0_seed0" / "best.pt"
    model = tmp_path / "model.pt"
    never = {emotion: Thresholds(1.0, 1.0) for emotion in ALERTED_EMOTIONS}
    meta = export(best, model, name="smoke", version="0", commit="", licence="", thresholds=never)
    held_out = meta.training["trained_on"]["stage"]
    speakers = (*held_out["valid_speakers"], *held_out["test_speakers"])
    utterances = [
        recorded(tmp_path, speaker, emotion, take, 1.7)
        for speaker in speakers
        for emotion in EMOTIONS
        for take in range(4)
    ]
    stage = CallSimulator(model, tmp_path / "readings", first_s=1.5, hop_s=1.0, release_s=4.0)
    found = evaluate(
        utterances,
        stage,
        TradeoffConfig(
            hold_s=1.0,
            smooth_s=1.5,
            calls=CallsConfig(minutes=1.0, calls_per_speaker=4),
            # No threshold of a model of two epochs keeps a lower limit.
            false_per_hour=dict.fromkeys(ALERTED_EMOTIONS, 10_000.0),
            draws=20,
        ),
    )
    page = alerts_page.write(found, tmp_path / "alerts")
    assert "sounds angry" in page.read_text()
    assert page.with_suffix(".svg").stat().st_size > 0
    assert set(found.thresholds) == set(ALERTED_EMOTIONS)
    artifact.rewrite(model, replace(stage.meta, thresholds=dict(found.thresholds)))
    assert artifact.load(model).meta.thresholds == found.thresholds
