"""Runs of the tests, and figures computed by scikit-learn to compare the report's with."""

from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.metrics import recall_score

from model.labels import STYLES
from tests.training.report.synthetic import CORPORA
from training.study.predictions import Predictions, Run

RUN = Run("combined", "compact", "both", 1.0, 1.0, fold=0, seed=0)
MTL = replace(RUN, system="mtl", ser_weight=0.8)
KANJO = replace(RUN, system="kanjo", ser_weight=0.8)
REFERENCE = replace(RUN, system="egemaps-svm", network="svm")
CLEAN = "utterance/clean"


def row(rows: pd.DataFrame, **where: object) -> pd.Series:
    own = rows[np.logical_and.reduce([rows[k] == v for k, v in where.items()])]
    assert len(own) == 1, (where, len(own))
    return own.iloc[0]


def corpus_ua(runs: list[Predictions], corpus: str, setting: str = CLEAN) -> float:
    """Returns UA by scikit-learn, over all runs pooled."""
    truth = np.concatenate([a.emotion[a.corpus == corpus] for a in runs])
    recognised = np.concatenate([a.logits[setting].argmax(1)[a.corpus == corpus] for a in runs])
    return float(recall_score(truth, recognised, average="macro"))


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
