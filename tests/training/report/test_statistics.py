import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, recall_score

from model.labels import STYLES
from tests.training.report.synthetic import CORPORA, Corpus, Recipe, study_of, ways
from training.metrics import unweighted_accuracy
from training.report.results import SystemResults
from training.report.statistics import BOTH, MEAN, Figures, measure, over_styles
from training.study.predictions import Predictions, Run

RUN = Run("combined", "compact", "both", 1.0, 1.0, fold=0, seed=0)
MTL = replace(RUN, system="mtl", ser_weight=0.8)
KANJO = replace(RUN, system="kanjo", ser_weight=0.8)
PEER = replace(RUN, system="egemaps-svm", network="svm")
CLEAN = "utterance/clean"


def row(rows: pd.DataFrame, **where: object) -> pd.Series:
    own = rows[np.logical_and.reduce([rows[k] == v for k, v in where.items()])]
    assert len(own) == 1, (where, len(own))
    return own.iloc[0]


def corpus_ua(runs: list[Predictions], corpus: str, way: str = CLEAN) -> float:
    """By scikit-learn, of all runs pooled."""
    truth = np.concatenate([a.emotion[a.corpus == corpus] for a in runs])
    told = np.concatenate([a.logits[way].argmax(1)[a.corpus == corpus] for a in runs])
    return float(recall_score(truth, told, average="macro"))


def mean_of_styles(runs: list[Predictions], without: tuple[str, ...] = ()) -> float:
    return float(
        np.mean(
            [
                np.mean(
                    [
                        corpus_ua(runs, name)
                        for name, corpus in CORPORA.items()
                        if corpus.style is style and name not in without
                    ]
                )
                for style in STYLES
            ]
        )
    )


def test_the_main_figure_is_the_mean_of_styles_of_the_means_of_corpora(tmp_path: Path) -> None:
    runs = [Recipe(0.6).answers(replace(RUN, fold=fold)) for fold in range(5)]
    found = row(measure(study_of(tmp_path, *runs), 200).overall, system="combined", share=1.0)
    assert found["ua"] == pytest.approx(mean_of_styles(runs))
    assert found["ua_without"] == pytest.approx(mean_of_styles(runs, ("urdu",)))
    assert found["ua_low"] < found["ua"] < found["ua_high"]
    assert found["ua_low"] < 0.6 < found["ua_high"]
    assert found["folds"] == [0, 1, 2, 3, 4]


def test_no_corpus_drowns_another(tmp_path: Path) -> None:
    large = {**CORPORA, "nemo": replace(CORPORA["nemo"], each=30)}
    answers = Recipe(0.9).answers(RUN, large)
    wrong = (answers.emotion + 1) % 4
    logits = np.where(
        (answers.corpus == "nemo")[:, None], np.eye(4)[wrong], np.eye(4)[answers.emotion]
    )
    study = study_of(tmp_path, replace(answers, logits={CLEAN: logits.astype(np.float32)}))
    drawn = study.tally(SystemResults.of(RUN), CLEAN).samples(0)
    assert over_styles(study, drawn, unweighted_accuracy)[0] == pytest.approx((0.5 + 1) / 2)


def test_without_one_style_there_is_no_mean_of_styles(tmp_path: Path) -> None:
    acted = {"emodb": CORPORA["emodb"]}
    found = measure(study_of(tmp_path, Recipe().answers(RUN, acted)), 20)
    assert np.isnan(row(found.overall, system="combined", share=1.0)["ua"])
    assert np.isfinite(row(found.by_corpus, corpus="emodb")["ua"])


def test_the_baseline_is_joined_of_two_runs_a_fold(tmp_path: Path) -> None:
    parts = [
        Recipe(0.6).answers(replace(RUN, system="baseline", trained_on=style.value, fold=fold))
        for style in STYLES
        for fold in (0, 1)
    ]
    found = row(measure(study_of(tmp_path, *parts), 20).overall, system="baseline")
    assert found["ua"] == pytest.approx(mean_of_styles(parts))
    assert np.isnan(found["p"])


def test_the_same_answers_differ_by_nothing(tmp_path: Path) -> None:
    parts = [
        Recipe().answers(replace(RUN, system="baseline", trained_on=style.value))
        for style in STYLES
    ]
    logits = np.concatenate([part.logits[CLEAN] for part in parts])
    names = np.concatenate([part.utterance for part in parts])
    same = Recipe().answers(RUN)
    where = {name: i for i, name in enumerate(names)}
    same = replace(same, logits={CLEAN: logits[[where[name] for name in same.utterance]]})
    found = row(measure(study_of(tmp_path, *parts, same), 50).overall, system="combined", share=1.0)
    assert (found["difference"], found["difference_low"], found["difference_high"]) == (0, 0, 0)
    assert found["p"] == 1


def test_a_difference_is_the_paired_bootstrap_done_speaker_by_speaker(tmp_path: Path) -> None:
    pair = [Recipe(0.5).answers(RUN, CORPORA), Recipe(0.7).answers(MTL, CORPORA)]
    found = row(measure(study_of(tmp_path, *pair), 300).steps, system="MTL", of="UA")
    combined, mtl = (samples_by_speaker(answers) for answers in pair)
    drawn = {
        corpus: np.random.default_rng(list(corpus.encode())).integers(
            len(combined[corpus]), size=(300, len(combined[corpus]))
        )
        for corpus in CORPORA
    }

    def figure(of: dict[str, np.ndarray], picked: Callable[[str], np.ndarray]) -> float:
        ua = {c: float(unweighted_accuracy(of[c][picked(c)].sum(0))) for c in CORPORA}
        return float(
            np.mean([np.mean([ua[c] for c in CORPORA if CORPORA[c].style is s]) for s in STYLES])
        )

    differences = [
        figure(mtl, lambda c: drawn[c][i]) - figure(combined, lambda c: drawn[c][i])  # noqa: B023
        for i in range(300)
    ]
    low, high = np.quantile(differences, [0.025, 0.975])
    assert (found["difference_low"], found["difference_high"]) == pytest.approx((low, high))
    assert found["difference"] == pytest.approx(mean_of_styles(pair[1:]) - mean_of_styles(pair[:1]))


def samples_by_speaker(answers: Predictions) -> dict[str, np.ndarray]:
    """corpus -> (S, 4, 4)"""
    told = answers.logits[CLEAN].argmax(1)
    return {
        str(corpus): np.stack(
            [
                confusion_matrix(answers.emotion[own], told[own], labels=range(4))
                for speaker in np.unique(answers.speaker[answers.corpus == corpus])
                for own in [(answers.corpus == corpus) & (answers.speaker == speaker)]
            ]
        )
        for corpus in np.unique(answers.corpus)
    }


def test_systems_are_compared_over_the_folds_that_both_have(tmp_path: Path) -> None:
    first, second, mtl = (
        Recipe(a).answers(run) for a, run in ((0.5, RUN), (0.9, replace(RUN, fold=1)), (0.6, MTL))
    )
    found = measure(study_of(tmp_path, first, second, mtl), 20)
    step = row(found.steps, system="MTL", of="UA")
    assert step["difference"] == pytest.approx(mean_of_styles([mtl]) - mean_of_styles([first]))
    assert step["speakers"] == 2 + 2 + 2 + 1
    assert row(found.overall, system="combined", share=1.0)["folds"] == [0, 1]


def test_a_system_of_several_seeds_is_their_mean(tmp_path: Path) -> None:
    runs = [Recipe(0.6).answers(replace(RUN, seed=seed)) for seed in (0, 1, 5)]
    found = row(measure(study_of(tmp_path, *runs), 20).overall, system="combined", share=1.0)
    each = [mean_of_styles([answers]) for answers in runs]
    assert found["ua_by_seed"] == pytest.approx(dict(zip(["0", "1", "5"], each, strict=True)))
    assert found["ua"] == pytest.approx(np.mean(each))
    assert found["seeds"] == [0, 1, 5]


def test_rows_of_the_paper_that_have_not_finished_are_there_without_figures(tmp_path: Path) -> None:
    overall = measure(study_of(tmp_path, Recipe().answers(RUN)), 20).overall
    assert len(overall) == 7
    assert overall["ua"].notna().sum() == 1


def test_a_system_s_figure_is_the_mean_of_its_styles(figures: Figures) -> None:
    tested = figures.overall[figures.overall["ua"].notna()]
    for figure in ("ua", "difference"):
        styles = tested[[f"{figure}_{style.value}" for style in STYLES]].mean(axis=1)
        pd.testing.assert_series_equal(tested[figure], styles, check_names=False)
    assert list(tested[tested["main"]]["known"]) == [
        "baseline",
        "combined",
        "MTL",
        "selective MTL",
        "Kanjo",
        "compare-svm",
        "egemaps-svm",
        "Kanjo + past speech",
        "egemaps-svm + past speech",
        "Kanjo + all speech",
        "egemaps-svm + all speech",
    ]
    pd.testing.assert_series_equal(
        tested.set_index("known")["difference_acted"]["selective MTL":"selective MTL"],
        figures.claim.set_index("over")["difference"]["acted":"acted"],
        check_names=False,
        check_index=False,
    )


def test_a_step_is_the_mean_of_its_styles(figures: Figures) -> None:
    styles = figures.steps[[f"difference_{style.value}" for style in STYLES]].mean(axis=1)
    pd.testing.assert_series_equal(figures.steps["difference"], styles, check_names=False)
    assert (figures.steps["less"] == "combined").sum() == 4  # MTL and selective MTL, UA and WA


def test_recalls_and_confusions_are_means_over_a_style_s_corpora(figures: Figures) -> None:
    for style in STYLES:
        told = row(figures.emotions, style=style.value, name="selective MTL")
        for emotion in ("anger", "happiness", "sadness", "neutral"):
            cell = row(
                figures.confusions,
                group="nothing",
                style=style.value,
                name="selective MTL",
                was=emotion,
            )
            assert cell[emotion] == pytest.approx(told[emotion])
            rows = ["anger", "happiness", "sadness", "neutral"]
            assert cell[rows].sum() == pytest.approx(1)
        recalls = told[["anger", "happiness", "sadness", "neutral"]]
        assert told["ua"] == pytest.approx(recalls.mean())


def test_what_knows_the_speaker_is_compared_with_what_does(figures: Figures) -> None:
    tested = {
        group: set(own["name"]) for group, own in figures.by_corpus.groupby("group", sort=False)
    }
    assert tested == {
        "nothing": {"baseline", "combined", "MTL", "selective MTL", "Kanjo"}
        | {"egemaps-svm", "compare-svm"},
        "past speech": {"Kanjo", "egemaps-svm"},
        "all speech": {"Kanjo", "egemaps-svm"},
    }
    plain = figures.by_corpus[figures.by_corpus["group"] == "nothing"]
    assert set(plain[plain["name"] == "Kanjo"]["way"]) == {"utterance/clean"}
    assert set(plain[plain["name"] == "egemaps-svm"]["way"]) == {"corpus/clean"}


def test_urdu_counts_for_no_mean(tmp_path: Path) -> None:
    answers = Recipe(0.7, ways("utterance")).answers(KANJO)
    peer = Recipe(0.6, ways("corpus")).answers(PEER)
    wrong = np.eye(4, dtype=np.float32)[(answers.emotion + 1) % 4] * 9
    urdu = (answers.corpus == "urdu")[:, None]
    spoilt = replace(
        answers, logits={way: np.where(urdu, wrong, old) for way, old in answers.logits.items()}
    )
    before = measure(study_of(tmp_path / "before", answers, peer), 20)
    after = measure(study_of(tmp_path / "after", spoilt, peer), 20)
    pd.testing.assert_frame_equal(before.lines, after.lines)
    pd.testing.assert_frame_equal(before.anger, after.anger)
    pd.testing.assert_frame_equal(before.calibration, after.calibration)
    for name, worse in (("by_corpus", "ua"), ("advantage", "difference")):
        tables = [getattr(found, name) for found in (before, after)]
        mean, of_urdu = (
            [
                row(table, corpus=corpus, **({"name": "Kanjo"} if worse == "ua" else {}))[worse]
                for table in tables
            ]
            for corpus in (MEAN, "urdu")
        )
        assert mean[0] == mean[1]
        assert of_urdu[0] > of_urdu[1]


def test_kanjo_is_held_against_the_peer_that_does_best_there(tmp_path: Path) -> None:
    def right_in(run: Run, way: str, *corpora: str) -> Predictions:
        answers = Recipe(0.6, (way,)).answers(run)
        told = np.where(
            np.isin(answers.corpus, corpora), answers.emotion, (answers.emotion + 1) % 4
        )
        return replace(answers, logits={way: np.eye(4, dtype=np.float32)[told]})

    study = study_of(
        tmp_path,
        right_in(KANJO, CLEAN, "emodb", "nemo"),
        right_in(PEER, "corpus/clean", "emodb"),
        right_in(replace(PEER, system="compare-svm"), "corpus/clean", "nemo", "eyase"),
    )
    found = measure(study, 20).advantage
    assert set(found["group"]) == {"nothing"}
    assert dict(zip(found["corpus"], found["peer"], strict=True)) | {"urdu": "-"} == {
        BOTH: "compare-svm",
        MEAN: "compare-svm",
        "emodb": "egemaps-svm",
        "nemo": "compare-svm",
        "eyase": "compare-svm",
        "urdu": "-",
    }
    by_corpus = dict(zip(found["corpus"], found["difference"], strict=True))
    assert by_corpus == pytest.approx(
        {BOTH: 0, MEAN: 0, "emodb": 0, "nemo": 0, "eyase": -1, "urdu": 0}
    )


def test_anger_is_told_from_the_rest(tmp_path: Path) -> None:
    runs = [Recipe(0.7).answers(replace(KANJO, fold=fold)) for fold in range(5)]
    found = measure(study_of(tmp_path, *runs), 50).anger
    assert list(found["condition"]) == ["clean", "mulaw"]
    told = np.concatenate([a.logits["utterance/mulaw"][a.corpus != "urdu"] for a in runs])
    truth = np.concatenate([a.emotion[a.corpus != "urdu"] for a in runs])
    probability = np.exp(told / 3.0) / np.exp(told / 3.0).sum(1, keepdims=True)
    alarm = probability[:, 0] >= 0.4
    over_mulaw = row(found, condition="mulaw")
    assert over_mulaw["recall"] == pytest.approx(alarm[truth == 0].mean())
    assert over_mulaw["false"] == pytest.approx(alarm[truth != 0].mean())
    assert over_mulaw["ua"] == pytest.approx((over_mulaw["recall"] + 1 - over_mulaw["false"]) / 2)


def test_a_style_head_that_was_not_trained_is_left_out(figures: Figures) -> None:
    assert set(figures.style["name"]) == {"MTL", "selective MTL", "Kanjo"}
    assert figures.style["accuracy"].between(0.9, 1).all()
    assert figures.style[["acted", "spontaneous"]].stack().between(0.85, 1).all()


def test_the_lambda_curve_is_over_the_speakers_of_all_its_points(tmp_path: Path) -> None:
    selective = replace(RUN, system="selective-mtl")
    study = study_of(
        tmp_path,
        *(Recipe().answers(replace(selective, ser_weight=0.8, fold=fold)) for fold in (0, 1)),
        Recipe(0.4).answers(replace(selective, ser_weight=0.2, fold=1)),
        *(Recipe().answers(replace(RUN, fold=fold)) for fold in (0, 1)),
    )
    found = measure(study, 20).weights
    assert list(found["ser_weight"]) == [1.0, 0.2, 0.8]
    assert set(found["speakers"]) == {7}
    answers = Recipe().answers(replace(selective, ser_weight=0.8, fold=1))
    assert row(found, ser_weight=0.8)["ua"] == pytest.approx(mean_of_styles([answers]))


def test_one_lambda_makes_no_curve(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe().answers(RUN), Recipe().answers(MTL))
    assert measure(study, 0).weights.empty


def test_temperatures_make_probabilities_come_true(tmp_path: Path) -> None:
    many = {name: replace(corpus, each=20) for name, corpus in CORPORA.items()}
    study = study_of(tmp_path, Recipe(0.6, sharpness=3.0).answers(KANJO, many))
    found = row(measure(study, 0).calibration, name="Kanjo")
    assert found["temperature"] == 3.0
    assert found["before"] > 0.25
    assert found["after"] < 0.08
    bins = measure(study, 0).reliability
    for calibrated in (False, True):
        own = bins[bins["calibrated"] == calibrated]
        assert own["share"].sum() == pytest.approx(1)
        error = (own["share"] * (own["accuracy"] - own["confidence"]).abs()).sum()
        assert error == pytest.approx(found["after" if calibrated else "before"])


def test_degraded_lines_are_measured_where_they_were_tested(figures: Figures) -> None:
    tested = figures.lines.groupby("name")["condition"].agg(set)
    assert tested["compare-svm"] == {"clean", "mulaw"}
    assert tested["Kanjo"] == {"clean", "mulaw", "alaw", "loss5", "loss10", "noise10"}
    clean = figures.lines[figures.lines["condition"] == "clean"].set_index(["group", "name"])["ua"]
    means = figures.by_corpus[figures.by_corpus["corpus"] == MEAN].set_index(["group", "name"])[
        "ua"
    ]
    pd.testing.assert_series_equal(clean, means)


def test_costs_are_means_over_runs(tmp_path: Path) -> None:
    runs = [
        Recipe(about={"seconds": seconds, "epoch": None}).answers(replace(RUN, fold=fold))
        for fold, seconds in ((0, 100), (1, 300))
    ]
    found = row(measure(study_of(tmp_path, *runs), 0).costs, system="combined")
    assert (found["runs"], found["seconds"], found["parameters"]) == (2, 200, 4_300_000)
    assert np.isnan(found["epoch"])


def test_another_network_has_rows_of_its_own_and_is_held_against_the_main_one(
    tmp_path: Path,
) -> None:
    paper = replace(RUN, network="paper")
    runs = [Recipe().answers(replace(RUN, fold=fold)) for fold in (0, 1)]
    big = Recipe(0.8).answers(paper)
    found = measure(study_of(tmp_path, *runs, big), 20)
    assert row(found.overall, network="paper")["ua"] == pytest.approx(mean_of_styles([big]))
    step = row(found.steps, system="combined, paper network", of="UA")
    assert step["less"] == "combined"
    assert step["difference"] == pytest.approx(mean_of_styles([big]) - mean_of_styles(runs[:1]))


def test_corpora_say_how_much_was_tested_and_whether_voices_are_known(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe(about={"without_speakers": ["nemo"]}).answers(RUN))
    found = measure(study, 0).corpora.set_index("corpus")
    assert found.loc["emodb", ["speakers", "utterances", "anger", "neutral"]].to_list() == [
        2,
        2 * 13,
        6,
        8,
    ]
    assert found["without_speakers"].to_dict() == {
        "emodb": False,
        "nemo": True,
        "eyase": False,
        "urdu": False,
    }


def test_without_draws_there_are_figures_but_no_intervals(tmp_path: Path) -> None:
    found = row(
        measure(study_of(tmp_path, Recipe().answers(RUN)), 0).overall, system="combined", share=1.0
    )
    assert np.isfinite(found["ua"])
    assert np.isnan(found["ua_low"])


def test_an_emotion_that_a_corpus_lacks_is_left_out_of_the_mean(tmp_path: Path) -> None:
    answers = Recipe().answers(
        RUN, {"emodb": CORPORA["emodb"], "nemo": Corpus(CORPORA["nemo"].style, 2)}
    )
    emotion = np.where((answers.corpus == "nemo") & (answers.emotion == 0), 3, answers.emotion)
    changed = replace(answers, emotion=emotion)
    found = row(measure(study_of(tmp_path, changed), 30).emotions, style="acted")
    of_emodb = changed.corpus == "emodb"
    told = changed.logits[CLEAN].argmax(1)[of_emodb]
    expected = recall_score(emotion[of_emodb], told, labels=[0], average="macro")
    assert found["anger"] == pytest.approx(expected)


def test_all_of_it_can_be_written_as_json(tmp_path: Path, figures: Figures) -> None:
    acted = {"emodb": CORPORA["emodb"]}
    for found in (figures, measure(study_of(tmp_path, Recipe().answers(RUN, acted)), 0)):
        again = json.loads(json.dumps(found.as_records(), allow_nan=False))
        assert again["overall"][0]["name"] == "baseline"
        assert len(again["by_corpus"]) == len(found.by_corpus)
