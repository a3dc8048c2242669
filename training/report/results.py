"""The finished runs of a study, and which speakers they were tested on."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from model.labels import EMOTIONS, STYLES, Style
from training.progress import track
from training.report.systems import (
    GIVEN,
    NETWORK_NAMES,
    OURS,
    PAPER,
    SystemKey,
    display_name,
    normalisation,
)
from training.report.tally import CLASSES, Tally, Task, labelled_and_recognised
from training.study.predictions import Predictions, finished

# Speaker and emotion are confounded in it (corpora/README.md): no conclusion rests on it.
CONFOUNDED = ("urdu",)


class ReportError(ValueError):
    """A study cannot be reported; the message states what was found and what was expected."""


@dataclass(frozen=True)
class Study:
    """All finished runs of folds, and the utterances that they were tested on."""

    predictions: tuple[Predictions, ...]
    utterances: pd.DataFrame  # by utterance: corpus, speaker, style, emotion
    held_out: "Study | None" = None  # the runs with one corpus held out, if there are any

    @classmethod
    def load(cls, folder: Path) -> "Study":
        """Reads every finished run below a folder.

        Raises:
            ReportError: there is none of a fold, or runs contradict each other.
            PredictionsError: a run cannot be read.
        """
        folders = finished(folder)
        if not folders:
            raise ReportError(f"{folder}: found no RUN/run.json, expected a finished run")
        every = tuple(map(Predictions.load, track(folders, "runs", len(folders))))
        of_folds = tuple(one for one in every if not one.run.held_out)
        others = tuple(one for one in every if one.run.held_out)
        if not of_folds:
            raise ReportError(
                f"{folder}: found only runs with a corpus held out, expected a fold's"
            )
        held_out = cls(others, _utterances(others)) if others else None
        return cls(of_folds, _utterances(of_folds), held_out)

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Returns corpus -> style; acted first, then by name."""
        of = self.utterances.groupby("corpus")["style"].first()
        return {
            str(corpus): STYLES[style]
            for style, corpus in sorted((int(style), str(c)) for c, style in of.items())
        }

    @cached_property
    def confounded(self) -> list[str]:
        return [corpus for corpus in self.styles if corpus in CONFOUNDED]

    @cached_property
    def unconfounded(self) -> list[str]:
        return [corpus for corpus in self.styles if corpus not in CONFOUNDED]

    @property
    def excluding(self) -> str:
        """Returns the words after a mean over unconfounded corpora: ` without urdu`, or none."""
        return f" without {' and '.join(self.confounded)}" if self.confounded else ""

    def corpora(self, style: Style) -> list[str]:
        return [corpus for corpus, of in self.styles.items() if of is style]

    @cached_property
    def runs(self) -> dict[SystemKey, list[Predictions]]:
        by_system: dict[SystemKey, list[Predictions]] = {}
        for predictions in self.predictions:
            by_system.setdefault(SystemKey.of(predictions.run), []).append(predictions)
        return {system: by_system[system] for system in sorted(by_system, key=lambda s: s.sort_key)}

    @cached_property
    def network(self) -> str:
        """Returns the main network: the one that most runs of the paper's systems used."""
        of_paper = Counter(p.run.network for p in self.predictions if p.run.system in PAPER)
        return of_paper.most_common(1)[0][0] if of_paper else "compact"

    @cached_property
    def networks(self) -> list[str]:
        """Returns all networks of the paper's systems, the main one first."""
        others = {s.network for s in self.runs if s.system in PAPER} - {self.network}
        return [self.network, *sorted(others)]

    @cached_property
    def main_systems(self) -> list[SystemKey]:
        """Returns the systems trained on all data with the usual lambda.

        These are the paper's on the main network, Kanjo and the reference systems.
        """
        return [
            s
            for s in self.runs
            if s.share == 1.0
            and (
                s.system not in PAPER
                or (s.network == self.network and s.ser_weight == PAPER[s.system])
            )
        ]

    def name(self, system: SystemKey) -> str:
        """Returns a readable name, as long as it takes to tell the system from the others."""
        others = [s for s in self.runs if s.system == system.system]
        name = display_name(system.system)
        if system.share != 1.0:
            name += " (half)" if system.share == 0.5 else f" ({system.share:.0%} of the data)"
        usual = PAPER.get(system.system)
        if system.ser_weight != usual if usual else len({s.ser_weight for s in others}) > 1:
            name += f", λ {system.ser_weight:g}"
        if system.system == OURS and len({s.network for s in others}) > 1:
            return f"{name} {NETWORK_NAMES.get(system.network, system.network)}"
        usual_network = self.network if system.system in PAPER else others[0].network
        if system.network != usual_network:
            name += f", {system.network} network"
        return name

    def folds(self, system: SystemKey) -> dict[int, tuple[int, ...]]:
        """Returns seed -> folds in which all runs of the system have finished.

        The baseline has one run a style in each fold.
        """
        own = [predictions.run for predictions in self.runs.get(system, [])]
        expected = {run.trained_on for run in own}
        if system.system == "baseline":
            expected = {style.value for style in self.styles.values()}
        done: dict[int, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for run in own:
            done[run.seed][run.fold].add(run.trained_on)
        return {
            seed: tuple(sorted(fold for fold, found in folds.items() if found >= expected))
            for seed, folds in sorted(done.items())
        }

    def constant_runs(self, system: SystemKey, setting: str) -> tuple[int, int]:
        """Returns how many runs of a system recognised one emotion alone, and of how many runs.

        A run whose test holds one emotion alone does not count: nothing else could be recognised.
        """
        tested = [
            found
            for predictions in self.runs.get(system, [])
            for found in [labelled_and_recognised(predictions, setting, "emotion")]
            if found is not None and len(np.unique(found[0])) > 1
        ]
        return sum(len(np.unique(recognised)) == 1 for _, recognised in tested), len(tested)

    def normalisations(self, system: SystemKey, condition: str = "clean") -> list[str]:
        """Returns those in which the system was tested under a condition, in the order of GIVEN."""
        settings = {
            setting for predictions in self.runs.get(system, []) for setting in predictions.logits
        }
        names = (name for names in GIVEN.values() for name in names)
        return [name for name in names if f"{name}/{condition}" in settings]

    def tally(
        self, system: SystemKey, setting: str, task: Task = "emotion", seed: int | None = None
    ) -> Tally:
        """Counts what each speaker's utterances were recognised as.

        Seeds are averaged: a speaker's confusion is the mean over the seeds that tested that
        speaker. UA and recalls of the mean are then the means of UA and recalls.
        """
        classes = CLASSES[task]
        by_seed: dict[int, NDArray[np.float64]] = {}
        for predictions in self.runs.get(system, []):
            found = labelled_and_recognised(predictions, setting, task)
            if found is None or seed not in (None, predictions.run.seed):
                continue
            rows = self._speaker_rows[predictions.run.name]
            cells = rows * classes * classes + found[0] * classes + found[1]
            size = len(self.speakers) * classes * classes
            counts = np.bincount(cells, minlength=size).reshape(-1, classes, classes)
            by_seed.setdefault(predictions.run.seed, np.zeros(counts.shape))[...] += counts
        every = np.stack([np.zeros((len(self.speakers), classes, classes)), *by_seed.values()])
        seeds = (every.sum((2, 3)) > 0).sum(0)[:, None, None]  # that tested a speaker
        return Tally(
            corpus=self.speakers.get_level_values("corpus").to_numpy(),
            confusion=every.sum(0) / np.maximum(seeds, 1),
        )

    @cached_property
    def speakers(self) -> pd.MultiIndex:
        """Returns all of them, as (corpus, speaker)."""
        pairs = self.utterances[["corpus", "speaker"]].drop_duplicates()
        return pd.MultiIndex.from_frame(pairs).sort_values()

    @cached_property
    def _speaker_rows(self) -> dict[str, NDArray[np.int64]]:
        """Returns run -> the index in `speakers` of every utterance's speaker (N,)."""
        return {
            predictions.run.name: self.speakers.get_indexer(
                pd.MultiIndex.from_arrays([predictions.corpus, _speakers(predictions)])
            )
            for predictions in self.predictions
        }

    def probabilities(
        self, system: SystemKey, setting: str, calibrated: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Returns posteriors (N, 4) and labels (N,) of all runs, without confounded corpora."""
        found = [
            (softmax(one.logits[setting] / divisor, axis=1)[kept], one.emotion[kept])
            for one in self.runs.get(system, [])
            if setting in one.logits and normalisation(setting) in one.temperature
            for divisor in [one.temperature[normalisation(setting)] if calibrated else 1.0]
            for kept in [~np.isin(one.corpus, CONFOUNDED)]
        ]
        if not found:
            return np.empty((0, len(EMOTIONS))), np.empty(0, np.int64)
        return np.concatenate([p for p, _ in found]), np.concatenate([e for _, e in found])


def _speakers(predictions: Predictions) -> NDArray[np.str_]:
    """Returns every utterance's speaker (N,), or its own name where the speaker is unknown."""
    return np.where(predictions.speaker == "", predictions.utterance, predictions.speaker)


def _utterances(predictions: tuple[Predictions, ...]) -> pd.DataFrame:
    """Returns every utterance once.

    Raises:
        ReportError: two runs disagree about an utterance, a system was tested on one twice, or a
            corpus has both styles.
    """
    facts = ["corpus", "speaker", "style", "emotion"]
    every = pd.concat(
        pd.DataFrame(
            {
                "utterance": one.utterance,
                "corpus": one.corpus,
                "speaker": _speakers(one),
                "style": one.style,
                "emotion": one.emotion,
                "system": hash(SystemKey.of(one.run)),
                "seed": one.run.seed,
                "run": one.run.name,
            }
        )
        for one in predictions
    )
    twice = every[every.duplicated(["utterance", "system", "seed"])]
    if len(twice):
        raise ReportError(
            f"{twice.iloc[0]['run']} tests {twice.iloc[0]['utterance']} again, expected every "
            "utterance in one fold of a system"
        )
    distinct = every.drop_duplicates(["utterance", *facts])
    differing = distinct[distinct.duplicated("utterance", keep=False)]
    if len(differing):
        first = differing[differing["utterance"] == differing.iloc[0]["utterance"]]
        raise ReportError(
            f"found {first[[*facts, 'run']].to_dict('records')} of {first.iloc[0]['utterance']}, "
            "expected all runs to agree"
        )
    for corpus, styles in distinct.groupby("corpus")["style"]:
        if styles.nunique() > 1:
            raise ReportError(f"{corpus} has utterances of both styles, expected one of them")
    return distinct.set_index("utterance")[facts].sort_index()
