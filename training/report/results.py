"""The finished runs of a study, and how often each speaker's utterances were told to be what."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from tqdm import tqdm

from model.labels import EMOTIONS, STYLES, Style
from training.metrics import ANGER, speaker_weights
from training.study.predictions import Predictions, Run, finished

# The paper's systems, in its order, with their lambda.
PAPER = {"baseline": 1.0, "combined": 1.0, "mtl": 0.8, "selective-mtl": 0.8}
OURS = "kanjo"
SPOKEN = {
    "mtl": "MTL",
    "selective-mtl": "selective MTL",
    OURS: "Kanjo",
    "compare": "ComParE",
    "egemaps": "eGeMAPS",
    "egemaps-rbf": "eGeMAPS RBF",
}

# Speaker and emotion go together in it (corpora/README.md): no conclusion rests on it.
CONFOUNDED = ("urdu",)

# What may be compared with what: what a system knows of the speaker, and how it is normalised then.
PLAIN = "nothing"
GROUPS = {
    PLAIN: ("utterance", "corpus"),
    "past speech": ("caller",),
    "all speech": ("speaker",),
}
CONDITIONS = ("clean", "mulaw", "alaw", "loss5", "loss10", "noise10")

Task = Literal["emotion", "anger", "style"]

# corpus -> (1 + draws, C, C): confusions of the sample itself and of every bootstrap draw
Samples = Mapping[str, NDArray[np.float64]]


class ReportError(ValueError):
    """A study can't be reported; the message says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class SystemResults:
    """What was trained, whichever the fold and the seed."""

    system: str
    network: str
    share: float
    ser_weight: float

    @classmethod
    def of(cls, run: Run) -> "SystemResults":
        return cls(run.system, run.network, run.share, run.ser_weight)

    @property
    def is_peer(self) -> bool:
        return self.system not in PAPER and self.system != OURS

    @property
    def place(self) -> tuple[int, str, float, float, str]:
        """In a table: the paper's systems, Kanjo, peers."""
        order = (*PAPER, OURS)
        first = order.index(self.system) if self.system in order else len(order)
        return first, self.system, -self.share, self.ser_weight, self.network


@dataclass(frozen=True)
class Study:
    """All that finished, and the utterances that were answered."""

    answers: tuple[Predictions, ...]
    utterances: pd.DataFrame  # by utterance: corpus, speaker, style, emotion

    @classmethod
    def load(cls, folder: Path) -> "Study":
        """Every finished run below a folder.

        Raises:
            ReportError: there is none, or runs contradict each other.
            AnswersError: a run can't be read.
        """
        folders = finished(folder)
        if not folders:
            raise ReportError(f"{folder}: found no RUN/run.json, expected a finished run")
        answers = tuple(Predictions.load(path) for path in tqdm(folders, "runs", unit="run"))
        return cls(answers, _utterances(answers))

    @cached_property
    def styles(self) -> dict[str, Style]:
        """corpus -> style; acted first, then by name."""
        of = self.utterances.groupby("corpus")["style"].first()
        return {
            str(corpus): STYLES[style]
            for style, corpus in sorted((int(style), str(c)) for c, style in of.items())
        }

    @cached_property
    def left_out(self) -> list[str]:
        """Its confounded corpora."""
        return [corpus for corpus in self.styles if corpus in CONFOUNDED]

    @property
    def without(self) -> str:
        """What is said of a mean over the others: ` without urdu`, or nothing."""
        return f" without {' and '.join(self.left_out)}" if self.left_out else ""

    @cached_property
    def trusted(self) -> list[str]:
        return [corpus for corpus in self.styles if corpus not in CONFOUNDED]

    def corpora(self, style: Style) -> list[str]:
        return [corpus for corpus, of in self.styles.items() if of is style]

    @cached_property
    def runs(self) -> dict[SystemResults, list[Predictions]]:
        by_system: dict[SystemResults, list[Predictions]] = {}
        for answers in self.answers:
            by_system.setdefault(SystemResults.of(answers.run), []).append(answers)
        return {system: by_system[system] for system in sorted(by_system, key=lambda s: s.place)}

    @cached_property
    def network(self) -> str:
        """The one that most runs of the paper's systems used."""
        of_paper = Counter(a.run.network for a in self.answers if a.run.system in PAPER)
        return of_paper.most_common(1)[0][0] if of_paper else "compact"

    @cached_property
    def networks(self) -> list[str]:
        """All that the paper's systems used, the main one first."""
        others = {s.network for s in self.runs if s.system in PAPER} - {self.network}
        return [self.network, *sorted(others)]

    @cached_property
    def main(self) -> list[SystemResults]:
        """With all data and the usual lambda: the paper's on the main network, Kanjo, peers."""
        return [
            s
            for s in self.runs
            if s.share == 1.0
            and (
                s.system not in PAPER
                or (s.network == self.network and s.ser_weight == PAPER[s.system])
            )
        ]

    def name(self, system: SystemResults) -> str:
        """For people, with as much as it takes to tell it from the others."""
        others = [s for s in self.runs if s.system == system.system]
        name = SPOKEN.get(system.system, system.system)
        if system.share != 1.0:
            name += " (half)" if system.share == 0.5 else f" ({system.share:.0%} of the data)"
        usual = PAPER.get(system.system)
        if system.ser_weight != usual if usual else len({s.ser_weight for s in others}) > 1:
            name += f", λ {system.ser_weight:g}"
        usual_network = self.network if system.system in PAPER else others[0].network
        if system.network != usual_network:
            name += f", {system.network} network"
        return name

    def folds(self, system: SystemResults) -> dict[int, tuple[int, ...]]:
        """seed -> folds in which every part of the system has finished."""
        own = [answers.run for answers in self.runs.get(system, [])]
        parts = {run.trained_on for run in own}
        if system.system == "baseline":  # one network a style
            parts = {style.value for style in self.styles.values()}
        done: dict[int, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for run in own:
            done[run.seed][run.fold].add(run.trained_on)
        return {
            seed: tuple(sorted(fold for fold, there in folds.items() if there >= parts))
            for seed, folds in sorted(done.items())
        }

    def normalisations(self, system: SystemResults, condition: str = "clean") -> list[str]:
        """In which the system was tested on such a line, as ordered in GROUPS."""
        ways = {way for answers in self.runs.get(system, []) for way in answers.logits}
        known = (name for names in GROUPS.values() for name in names)
        return [name for name in known if f"{name}/{condition}" in ways]

    def tally(
        self, system: SystemResults, way: str, task: Task = "emotion", seed: int | None = None
    ) -> "Tally":
        """How each speaker's utterances were told.

        Seeds are averaged: a speaker's confusion is the mean over the seeds that tested that
        speaker. UA and recalls of the mean are then the means of UA and recalls.
        """
        classes = {"emotion": len(EMOTIONS), "anger": 2, "style": len(STYLES)}[task]
        by_seed: dict[int, NDArray[np.float64]] = {}
        for answers in self.runs.get(system, []):
            told = _told(answers, way, task)
            if told is None or seed not in (None, answers.run.seed):
                continue
            cells = self._rows[answers.run.name] * classes * classes + told[0] * classes + told[1]
            size = len(self.speakers) * classes * classes
            counts = np.bincount(cells, minlength=size).reshape(-1, classes, classes)
            by_seed.setdefault(answers.run.seed, np.zeros(counts.shape))[...] += counts
        every = np.stack([np.zeros((len(self.speakers), classes, classes)), *by_seed.values()])
        seeds = (every.sum((2, 3)) > 0).sum(0)[:, None, None]  # that tested a speaker
        return Tally(
            corpus=self.speakers.get_level_values("corpus").to_numpy(),
            confusion=every.sum(0) / np.maximum(seeds, 1),
        )

    @cached_property
    def speakers(self) -> pd.MultiIndex:
        """All of them, as (corpus, speaker)."""
        pairs = self.utterances[["corpus", "speaker"]].drop_duplicates()
        return pd.MultiIndex.from_frame(pairs).sort_values()

    @cached_property
    def _rows(self) -> dict[str, NDArray[np.int64]]:
        """run -> the speaker's place in `speakers`, of every utterance (N,)."""
        return {
            answers.run.name: self.speakers.get_indexer(
                pd.MultiIndex.from_arrays([answers.corpus, _speakers(answers)])
            )
            for answers in self.answers
        }

    def probabilities(
        self, system: SystemResults, way: str, calibrated: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(N, 4) and what it was (N,), of all runs, confounded corpora left out."""
        found = [
            (softmax(answers.logits[way] / divisor, axis=1)[kept], answers.emotion[kept])
            for answers in self.runs.get(system, [])
            if way in answers.logits and _normalisation(way) in answers.temperature
            for divisor in [answers.temperature[_normalisation(way)] if calibrated else 1.0]
            for kept in [~np.isin(answers.corpus, CONFOUNDED)]
        ]
        if not found:
            return np.empty((0, len(EMOTIONS))), np.empty(0, np.int64)
        return np.concatenate([p for p, _ in found]), np.concatenate([e for _, e in found])


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each speaker's utterances were told to be what."""

    corpus: NDArray[np.str_]  # (S,) of all speakers of the study
    confusion: NDArray[np.float64]  # (S, C, C) rows what it was; zero where not tested

    @property
    def tested(self) -> NDArray[np.bool_]:  # (S,)
        return np.asarray(self.confusion.sum((1, 2)) > 0)

    def __len__(self) -> int:
        return int(self.tested.sum())

    def among(self, other: "Tally") -> "Tally":
        """Of the speakers whom the other tested too."""
        return Tally(self.corpus, self.confusion * other.tested[:, None, None])

    def samples(self, draws: int) -> Samples:
        """Bootstrap over speakers within each corpus; like sets of speakers are drawn alike."""
        drawn = {}
        for corpus in np.unique(self.corpus[self.tested]).tolist():
            own = self.confusion[(self.corpus == corpus) & self.tested]
            weights = speaker_weights(len(own), draws, *corpus.encode())
            drawn[corpus] = np.tensordot(weights, own, 1)
        return drawn


def knowing(name: str, group: str) -> str:
    """A system's name with what it knows of the speaker: `Kanjo + past speech`."""
    return name if group == PLAIN else f"{name} + {group}"


def _normalisation(way: str) -> str:
    return way.split("/")[0]


def _speakers(answers: Predictions) -> NDArray[np.str_]:
    """An utterance whose speaker is unknown stands for itself."""
    return np.where(answers.speaker == "", answers.utterance, answers.speaker)


def _told(answers: Predictions, way: str, task: Task) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """What the utterances of one run were and were told (N,); None if it was not tested so."""
    logits = answers.style_logits if task == "style" else answers.logits
    if way not in logits:
        return None
    if task == "style":
        return answers.style, logits[way].argmax(1)
    if task == "emotion":
        return answers.emotion, logits[way].argmax(1)
    name = _normalisation(way)
    if name not in answers.temperature or name not in answers.anger_at:
        return None
    anger = softmax(logits[way] / answers.temperature[name], axis=1)[:, ANGER]
    return (answers.emotion == ANGER) * 1, (anger >= answers.anger_at[name]) * 1


def _utterances(answers: tuple[Predictions, ...]) -> pd.DataFrame:
    """Each once.

    Raises:
        ReportError: two runs say different things of an utterance, a system answers one twice, or
            a corpus has both styles.
    """
    facts = ["corpus", "speaker", "style", "emotion"]
    every = pd.concat(
        pd.DataFrame(
            {
                "utterance": a.utterance,
                "corpus": a.corpus,
                "speaker": _speakers(a),
                "style": a.style,
                "emotion": a.emotion,
                "system": hash(SystemResults.of(a.run)),
                "seed": a.run.seed,
                "run": a.run.name,
            }
        )
        for a in answers
    )
    twice = every[every.duplicated(["utterance", "system", "seed"])]
    if len(twice):
        raise ReportError(
            f"{twice.iloc[0]['run']} answers {twice.iloc[0]['utterance']} again, expected every "
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
