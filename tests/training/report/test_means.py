from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import recall_score

from tests.training.report.expected import CLEAN, RUN, mean_of_styles, row
from tests.training.report.synthetic import CORPORA, Corpus, Recipe, study_of
from training.metrics import unweighted_accuracy
from training.report.means import over_styles
from training.report.statistics import measure
from training.report.systems import SystemKey


def test_the_main_figure_is_the_mean_of_styles_of_the_means_of_corpora(tmp_path: Path) -> None:
    runs = [Recipe(0.6).predictions(replace(RUN, fold=fold)) for fold in range(5)]
    found = row(measure(study_of(tmp_path, *runs), 200).overall, system="combined", share=1.0)
    assert found["ua"] == pytest.approx(mean_of_styles(runs))
    assert found["ua_without"] == pytest.approx(mean_of_styles(runs, ("urdu",)))
    assert found["ua_low"] < found["ua"] < found["ua_high"]
    assert found["ua_low"] < 0.6 < found["ua_high"]
    assert found["folds"] == [0, 1, 2, 3, 4]


def test_no_corpus_outweighs_another(tmp_path: Path) -> None:
    large = {**CORPORA, "nemo": replace(CORPORA["nemo"], each=30)}
    predictions = Recipe(0.9).predictions(RUN, large)
    wrong = (predictions.emotion + 1) % 4
    logits = np.where(
        (predictions.corpus == "nemo")[:, None], np.eye(4)[wrong], np.eye(4)[predictions.emotion]
    )
    study = study_of(tmp_path, replace(predictions, logits={CLEAN: logits.astype(np.float32)}))
    drawn = study.tally(SystemKey.of(RUN), CLEAN).samples(0)
    assert over_styles(study, drawn, unweighted_accuracy)[0] == pytest.approx((0.5 + 1) / 2)


def test_without_one_style_there_is_no_mean_of_styles(tmp_path: Path) -> None:
    acted = {"emodb": CORPORA["emodb"]}
    found = measure(study_of(tmp_path, Recipe().predictions(RUN, acted)), 20)
    assert np.isnan(row(found.overall, system="combined", share=1.0)["ua"])
    assert np.isfinite(row(found.by_corpus, corpus="emodb")["ua"])


def test_an_emotion_that_a_corpus_lacks_is_left_out_of_the_mean(tmp_path: Path) -> None:
    predictions = Recipe().predictions(
        RUN, {"emodb": CORPORA["emodb"], "nemo": Corpus(CORPORA["nemo"].style, 2)}
    )
    emotion = np.where(
        (predictions.corpus == "nemo") & (predictions.emotion == 0), 3, predictions.emotion
    )
    changed = replace(predictions, emotion=emotion)
    found = row(measure(study_of(tmp_path, changed), 30).emotions, style="acted")
    of_emodb = changed.corpus == "emodb"
    recognised = changed.logits[CLEAN].argmax(1)[of_emodb]
    expected = recall_score(emotion[of_emodb], recognised, labels=[0], average="macro")
    assert found["anger"] == pytest.approx(expected)
