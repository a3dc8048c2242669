"""What the networks are compared with: openSMILE's functionals and a support vector machine.

The peers hear the same stretch of the same recordings as the networks, and know as little of who
speaks: `corpus` only the corpus, `caller` some of what the caller said before, `speaker` all that
the speaker ever said.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import opensmile
import torch
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from tqdm import tqdm

from model.audio import Pcm
from model.features import FeatureSpec
from model.gate import HOP_SAMPLES, speech_spans
from model.labels import EMOTIONS, STYLES, Emotion
from model.speaker_baseline import BASELINE_UTTERANCES
from training.data.channel import CLEAN, Channel
from training.data.dataset import PLAIN_GATE, RecordingError, made_of, read_recording
from training.data.enrolment import Enrolments, enrolments
from training.data.manifest import Utterance
from training.data.splits import Split
from training.metrics import ANGER, anger_threshold, unweighted_accuracy
from training.study.predictions import Predictions, Run
from training.train import temperature

Functionals = NDArray[np.float64]  # (N, F)

NORMALISATIONS = ("corpus", "caller", "speaker")
SPEC = FeatureSpec()
LEAST_SAMPLES = 480  # openSMILE's longest frame, 60 ms
FURTHEST = 10.0  # standard deviations from the mean; some functionals are ratios without bound
TOLERANCE = 1e-2  # of a linear machine: below it not one of 1,200 answers changed
NEUTRAL_ODDS = 10.0  # of a neutral utterance against another to be said before: calls begin calmly
SHRINKS = (1.0, 3.0, 10.0, 30.0)  # utterances that the corpus' mean counts for


class PeerError(ValueError):
    """A peer can't be trained or tested on this; the message says what came and what should."""


@dataclass(frozen=True, slots=True)
class OpenSmileSystem:
    """A set of functionals, and the machine that tells emotions by them."""

    functionals: Literal["eGeMAPSv02", "ComParE_2016"]
    kernel: Literal["linear", "rbf"]
    costs: tuple[float, ...]  # C is one of these

    def machine(self, cost: float, seed: int) -> Pipeline:
        """Not yet fitted; its decision function is one emotion against the rest, (N, 4)."""
        svm = (
            LinearSVC(C=cost, class_weight="balanced", tol=TOLERANCE, random_state=seed)
            if self.kernel == "linear"
            else OneVsRestClassifier(SVC(C=cost, class_weight="balanced"))
        )
        return make_pipeline(StandardScaler(), svm)


PEERS: Mapping[str, OpenSmileSystem] = {
    "egemaps": OpenSmileSystem("eGeMAPSv02", "linear", (1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
    "egemaps-rbf": OpenSmileSystem("eGeMAPSv02", "rbf", (0.3, 1.0, 3.0, 10.0)),
    "compare": OpenSmileSystem("ComParE_2016", "linear", (1e-6, 1e-5, 1e-4)),
}


# ---- functionals -------------------------------------------------------------------------------


def heard(path: Path, line: Channel) -> Pcm:
    """The samples of those frames that a network hears: first to last speech, at most 7.5 s.

    Raises:
        RecordingError: unreadable, or too short for openSMILE.
    """
    pcm = line.apply(read_recording(path))
    frames = SPEC.frames_in(len(pcm))
    spans = speech_spans(pcm, PLAIN_GATE)
    first, after = (spans[0].start, spans[-1].end) if spans else (0, frames)
    after = min(after, frames, first + SPEC.window_frames)
    pcm = pcm[first * HOP_SAMPLES : (after - 1) * HOP_SAMPLES + SPEC.frame_samples]
    if len(pcm) < LEAST_SAMPLES:
        raise RecordingError(f"{path}: {len(pcm)} samples, expected {LEAST_SAMPLES} or more")
    return pcm


@cache
def _smile(functionals: str) -> opensmile.Smile:
    return opensmile.Smile(opensmile.FeatureSet[functionals], opensmile.FeatureLevel.Functionals)


def functionals_of(path: Path, functionals: str, line: Channel) -> NDArray[np.float32]:
    """One recording's functionals (F,); 0 where openSMILE finds no number."""
    wave = heard(path, line)[None] / np.float32(32_768)  # (1, n)
    found: NDArray[np.float32] = _smile(functionals)(wave, SPEC.sample_rate)[0, :, 0]
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


def build(
    utterances: Sequence[Utterance], functionals: str, line: Channel, folder: Path
) -> Functionals:
    """Read from `folder`, or made there first: one file for each set, line and list of utterances.

    A making that was interrupted goes on where it stopped; who comes second waits for the first.
    """
    how = [opensmile.__version__, functionals, asdict(line), asdict(PLAIN_GATE), SPEC.window_frames]
    listed = json.dumps([[str(u.path) for u in utterances], how])
    path = folder / f"{functionals}-{hashlib.sha256(listed.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".part").open("a+b") as file:  # row after row
            fcntl.lockf(file, fcntl.LOCK_EX)
            if not path.exists():
                one = partial(functionals_of, functionals=functionals, line=line)
                row_bytes = 4 * _smile(functionals).num_features
                _go_on(file, row_bytes, [u.path for u in utterances], one, f"{functionals}, {line}")
                file.seek(0)
                rows = np.frombuffer(file.read(), np.float32).reshape(len(utterances), -1)
                unfinished = path.with_suffix(".part.npy")
                np.save(unfinished, rows)
                os.replace(unfinished, path)
            Path(file.name).unlink(missing_ok=True)
    made: NDArray[np.float32] = np.load(path)
    return made.astype(np.float64)


def _go_on(
    file: BinaryIO,
    row_bytes: int,
    paths: Sequence[Path],
    one: Callable[[Path], NDArray[np.float32]],
    name: str,
) -> None:
    """Writes the rows that `file` lacks; one cut off in the middle is made again."""
    done = file.seek(0, os.SEEK_END) // row_bytes
    file.truncate(done * row_bytes)
    for row in made_of(paths, one, name, done):
        file.write(row.tobytes())
        file.flush()


# ---- normalisation -----------------------------------------------------------------------------


def corpus_scalers(
    functionals: Functionals, utterances: Sequence[Utterance]
) -> dict[str, StandardScaler]:
    """Mean and standard deviation of each corpus."""
    corpora = np.array([u.corpus for u in utterances])
    return {
        str(name): StandardScaler().fit(functionals[corpora == name]) for name in np.unique(corpora)
    }


def by_corpus(
    functionals: Functionals,
    utterances: Sequence[Utterance],
    scalers: Mapping[str, StandardScaler],
) -> Functionals:
    """Every corpus by its own scaler.

    Raises:
        PeerError: a corpus has none.
    """
    corpora = np.array([u.corpus for u in utterances])
    strange = set(corpora.tolist()) - scalers.keys()
    if strange:
        raise PeerError(f"found corpora {sorted(strange)}, expected some of {sorted(scalers)}")
    scaled = np.empty_like(functionals)
    for name, scaler in scalers.items():
        own = corpora == name
        if own.any():
            scaled[own] = scaler.transform(functionals[own])
    return np.clip(scaled, -FURTHEST, FURTHEST)


def by_speaker(functionals: Functionals, utterances: Sequence[Utterance]) -> Functionals:
    """Every speaker by the mean and standard deviation of all that the speaker says here."""
    scaled = np.empty_like(functionals)
    for own in rows_of_voices(utterances).values():
        scaled[own] = StandardScaler().fit_transform(functionals[own])
    return np.clip(scaled, -FURTHEST, FURTHEST)


def by_caller(scaled: Functionals, enrolments: Enrolments, shrink: float) -> Functionals:
    """What `by_corpus` gave, less the mean of each utterance's past.

    That mean is shrunk towards the corpus' own, which is 0, as if `shrink` utterances of that had
    been heard too: little past, little faith in it.
    """
    centred = scaled.copy()
    for row, past in enumerate(enrolments):
        centred[row] -= scaled[list(past)].sum(axis=0) / (len(past) + shrink)
    return centred


def rows_of_voices(utterances: Sequence[Utterance]) -> dict[tuple[str, str], list[int]]:
    """By corpus and who speaks."""
    rows: dict[tuple[str, str], list[int]] = {}
    for row, utterance in enumerate(utterances):
        rows.setdefault((utterance.corpus, utterance.voice), []).append(row)
    return rows


def training_pasts(utterances: Sequence[Utterance], rng: np.random.Generator) -> Enrolments:
    """For every utterance up to BASELINE_UTTERANCES others of its speaker, mostly neutral.

    Never all that the speaker says, as networks may be told: a machine knows one normalisation.
    """
    odds = np.array([NEUTRAL_ODDS if u.emotion is Emotion.NEUTRAL else 1.0 for u in utterances])
    drawn: Enrolments = [[] for _ in utterances]
    for own in rows_of_voices(utterances).values():
        for row in own:
            others = [other for other in own if other != row]
            count = min(int(rng.integers(BASELINE_UTTERANCES + 1)), len(others))
            if count:
                weights = odds[others] / odds[others].sum()
                drawn[row] = rng.choice(others, count, replace=False, p=weights).tolist()
    return drawn


# ---- one run -----------------------------------------------------------------------------------


def mean_ua(utterances: Sequence[Utterance], told: NDArray[np.int64]) -> float:
    """UA of told emotions (N,): every corpus counts the same."""
    corpora = np.array([u.corpus for u in utterances])
    emotion = emotions_of(utterances)
    return float(
        np.mean(
            [
                unweighted_accuracy(
                    confusion_matrix(emotion[own], told[own], labels=range(len(EMOTIONS)))
                )
                for name in np.unique(corpora)
                for own in [corpora == name]
            ]
        )
    )


class _Fit(NamedTuple):
    """A machine, and how it tells the validation speakers."""

    cost: float
    shrink: float
    machine: Pipeline
    logits: NDArray[np.float64]  # (N, 4)
    ua: float


def emotions_of(utterances: Sequence[Utterance]) -> NDArray[np.int64]:
    return np.array([EMOTIONS.index(u.emotion) for u in utterances])


def run_peer(run: Run, split: Split, lines: Mapping[str, Channel], cache: Path) -> Predictions:
    """Trains the peer that `run.system` names, once a normalisation, and tests it over all `lines`.

    It is trained on recordings as they are, and chosen and calibrated by those of the validation
    speakers.

    Raises:
        PeerError: there is no such peer, or the training part lacks an emotion or a corpus.
        RecordingError: an utterance can't be read.
    """
    if run.system not in PEERS:
        raise PeerError(f"found peer {run.system!r}, expected one of {sorted(PEERS)}")
    peer = PEERS[run.system]
    emotions = emotions_of(split.train)
    if len(set(emotions.tolist())) < len(EMOTIONS):
        found = sorted({u.emotion.value for u in split.train})
        raise PeerError(f"found {found} to train on, expected {[e.value for e in EMOTIONS]}")

    # ---- functionals: one list for all folds, so that clean ones are made once -------------------
    everyone = sorted((*split.train, *split.valid, *split.test), key=lambda u: str(u.path))
    row_of = {utterance.path: row for row, utterance in enumerate(everyone)}
    clean = build(everyone, peer.functionals, CLEAN, cache)
    train, valid, test = (
        clean[[row_of[u.path] for u in part]] for part in (split.train, split.valid, split.test)
    )
    tests = {
        name: test if line == CLEAN else build(split.test, peer.functionals, line, cache)
        for name, line in lines.items()
    }

    scalers = corpus_scalers(train, split.train)
    train_pasts = training_pasts(split.train, np.random.default_rng(run.seed))
    valid_pasts = enrolments(split.valid, "caller", seed=0)  # as networks are examined
    test_pasts = enrolments(split.test, "caller", seed=0)

    def normalised(
        how: str,
        shrink: float,
        part: Functionals,
        utterances: Sequence[Utterance],
        before: Enrolments,
    ) -> Functionals:
        if how == "speaker":
            return by_speaker(part, utterances)
        scaled = by_corpus(part, utterances, scalers)
        return by_caller(scaled, before, shrink) if how == "caller" else scaled

    # ---- each normalisation: the machine that tells the validation speakers best ----------------
    choices = [
        (how, shrink, cost)
        for how in NORMALISATIONS
        for shrink in (SHRINKS if how == "caller" else (0.0,))
        for cost in peer.costs
    ]
    best: dict[str, _Fit] = {}
    for how, shrink, cost in tqdm(choices, run.name, unit="fit"):
        machine = peer.machine(cost, run.seed)
        machine.fit(normalised(how, shrink, train, split.train, train_pasts), emotions)
        logits = machine.decision_function(normalised(how, shrink, valid, split.valid, valid_pasts))
        ua = mean_ua(split.valid, logits.argmax(1))
        if how not in best or ua > best[how].ua:
            best[how] = _Fit(cost, shrink, machine, logits, ua)

    # ---- calibrated on the validation speakers, tested once --------------------------------------
    of_valid = emotions_of(split.valid)
    temperatures, anger_at, answers = {}, {}, {}
    for how, fit in best.items():
        logits = torch.from_numpy(fit.logits)
        temperatures[how] = temperature(logits, torch.from_numpy(of_valid))
        posterior = (logits / temperatures[how]).softmax(1).numpy()
        anger_at[how] = anger_threshold(posterior[:, ANGER], of_valid == ANGER)
        for name, part in tests.items():
            scaled = normalised(how, fit.shrink, part, split.test, test_pasts)
            answers[f"{how}/{name}"] = fit.machine.decision_function(scaled).astype(np.float32)
    return Predictions(
        run=run,
        utterance=np.array([f"{u.corpus}/{u.path.name}" for u in split.test]),
        corpus=np.array([u.corpus for u in split.test]),
        speaker=np.array([u.voice for u in split.test]),
        style=np.array([STYLES.index(u.style) for u in split.test]),
        emotion=emotions_of(split.test),
        logits=answers,
        style_logits={},
        temperature=temperatures,
        anger_at=anger_at,
        about={
            "peer": asdict(peer),
            "opensmile": opensmile.__version__,
            "chosen": {
                how: {"valid_ua": fit.ua, "C": fit.cost, "shrink": fit.shrink}
                for how, fit in best.items()
            },
        },
    )
