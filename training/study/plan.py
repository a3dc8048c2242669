"""Plans a study: reads its file, lists the runs that follow from it and their utterances."""

import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import numpy as np
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError

from model.embedding import EmbeddingSpec
from model.input_sizes import input_sizes
from model.labels import STYLES
from model.network import PRESETS, operations
from training.data.channel import CONDITIONS
from training.data.manifest import Utterance, read_corpora
from training.data.splits import Split
from training.recipes import RECIPES, TrainConfig
from training.study.encoder_linear import ENCODER_LINEAR, EncoderLinear
from training.study.opensmile_svm import OPENSMILE_SYSTEMS
from training.study.predictions import Run

T = TypeVar("T")
# Fields of a TrainConfig that a study's file can't set, because they follow from the run.
OF_THE_RUN = ("cap_per_speaker_emotion", "folds", "seed", "selective", "ser_weight", "test_fold")
USUAL_UTTERANCES = 2400  # to train on
AFTER_FOLDS = 1_000_000  # the place of runs with a corpus held out
DISTILLED = "distilled"  # Run.network of what is distilled of the same run on embeddings
PEERS = {**OPENSMILE_SYSTEMS, ENCODER_LINEAR: EncoderLinear}
# How a run is trained: a network, a linear machine on embeddings; None: an openSMILE system.
Training = TrainConfig | EncoderLinear | None
Trainings = dict[Run, Training]


class StudyError(ValueError):
    """A study can't be run as asked; the message states what was found and what was expected."""


def _one_of(known: Mapping[str, Any]) -> AfterValidator:
    """Returns a validator that accepts the keys of a mapping."""

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"there is no such one, expected one of {', '.join(known)}")
        return name

    return AfterValidator(check)


Share = Annotated[float, Field(gt=0, le=1)]
Weight = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Some = Annotated[tuple[Count, ...], Field(min_length=1)]


class SystemPlan(BaseModel, frozen=True, extra="forbid"):
    """One system and its variants: shares x ser_weights x folds x seeds."""

    name: Literal["baseline", "combined", "mtl", "selective-mtl", "kanjo"]
    recipe: Annotated[str, _one_of(RECIPES)] = "compact"
    shares: Annotated[tuple[Share, ...], Field(min_length=1)] = (1.0,)  # of training utterances
    # lambda; the default is 1 without a style task, else the recipe's
    ser_weights: Annotated[tuple[Weight, ...], Field(min_length=1)] | None = None
    folds: Some | None = None  # default: the study's
    seeds: Some | None = None  # default: the study's
    train: dict[str, Any] = {}  # fields of the recipe's TrainConfig, with other values


class StudyConfig(BaseModel, frozen=True, extra="forbid"):
    """All that decides the results of a study, except the corpora themselves."""

    name: str
    folds: int = Field(5, ge=3)
    run_folds: Some | None = None  # default: all
    seeds: Some = (0,)
    split_seed: int = 0
    cap_per_speaker_emotion: int = Field(25, ge=1)  # utterances, drawn once for all runs
    corpora: tuple[str, ...] = ()  # empty: all
    conditions: tuple[Annotated[str, _one_of(CONDITIONS)], ...] = tuple(CONDITIONS)
    systems: tuple[SystemPlan, ...] = ()
    # openSMILE systems and the linear machine on embeddings, in all folds, with the first seed
    peers: tuple[Annotated[str, _one_of(PEERS)], ...] = ()
    # Systems and peers that are also tested on each whole corpus, trained on the others alone
    leave_one_corpus_out: tuple[str, ...] = ()
    train: dict[str, Any] = {}  # as in a system, for all of them
    # Fields of the EmbeddingSpec of all that is trained on embeddings, with other values
    embedding: dict[str, Any] = {}
    linear: dict[str, Any] = {}  # fields of EncoderLinear, with other values
    keep: tuple[str, ...] = ("kanjo",)  # systems whose weights are kept in folds other than 0

    @classmethod
    def from_toml(cls, path: Path) -> "StudyConfig":
        """Reads and validates a study's file.

        Raises:
            StudyError: it is not TOML, or a setting is unknown or impossible.
        """
        try:
            config = cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise StudyError(f"{path}: {error}, expected a study's TOML") from error
        except ValidationError as invalid:
            problems = invalid.errors(include_url=False, include_context=False)
            raise StudyError(f"{path}: {'; '.join(map(_sentence, problems))}") from None
        try:
            plan(config)
        except StudyError as error:
            raise StudyError(f"{path}: {error}") from error
        return config


def _sentence(problem: Any) -> str:
    """Says what pydantic found and what it expected."""
    where, found = ".".join(map(str, problem["loc"])), problem["input"]
    if problem["type"] == "extra_forbidden":
        known = (SystemPlan if problem["loc"][0] == "systems" else StudyConfig).model_fields
        return _no_such(where, known)
    if problem["type"] == "missing":
        return f"{where}: found none, expected one"
    return f"{where}: found {found!r}: {problem['msg'].removeprefix('Value error, ')}"


def _no_such(where: str, known: Iterable[str]) -> str:
    return f"{where}: there is no such setting, expected one of {', '.join(known)}"


def _changed(config: T, changes: Mapping[str, Any], where: str) -> T:
    """Returns the dataclass with other values of some fields, also of nested dataclasses."""
    types = get_type_hints(type(config))
    known = [field.name for field in fields(config) if field.name not in OF_THE_RUN]  # type: ignore[arg-type]
    values = {}
    for name, value in changes.items():
        here = f"{where}.{name}"
        if name not in known:
            raise StudyError(_no_such(here, known))
        present = getattr(config, name)
        if is_dataclass(present) and isinstance(value, Mapping):
            values[name] = _changed(present, value, here)
            continue
        try:
            values[name] = TypeAdapter(types[name]).validate_python(value)
        except ValidationError as invalid:
            raise StudyError(f"{here}: found {value!r}: {invalid.errors()[0]['msg']}") from None
    try:
        return replace(config, **values)  # type: ignore[type-var]
    except ValueError as error:
        raise StudyError(f"{where}: {error}") from error


def plan(config: StudyConfig) -> Trainings:
    """Returns every run and how it is trained, in the order in which the runs are performed.

    Runs are ordered by fold, so that the systems of an unfinished study can be compared on the same
    speakers, and within a fold by cost. If a system is listed again (for another lambda or
    network), the runs of the later entry follow those of all first entries.

    Raises:
        StudyError: the file asks for something unknown or impossible.
    """
    run_folds = range(config.folds) if config.run_folds is None else config.run_folds
    trainings: Trainings = {}
    places: dict[Run, tuple[float, ...]] = {}

    def add(run: Run, training: Training, *place: int) -> None:
        if run.fold >= config.folds:
            raise StudyError(f"found fold {run.fold}, expected 0 to {config.folds - 1}")
        if trainings.setdefault(run, training) != training:
            raise StudyError(f"{run.name} is listed twice with other settings, expected once")
        places.setdefault(run, (*place, cost(run, training)))

    embedding = _changed(EmbeddingSpec(), config.embedding, "embedding")
    held_out = _held_out(config)
    for name in config.peers:
        linear = None
        if name == ENCODER_LINEAR:
            linear = _changed(EncoderLinear(embedding), config.linear, "linear")
        network = "ridge" if linear else "svm"
        run = Run(name, network, "both", 1.0, 1.0, 0, config.seeds[0])
        for at, fold in enumerate(run_folds):
            add(replace(run, fold=fold), linear, 0, 0, at)
        for corpus in held_out if name in config.leave_one_corpus_out else ():
            add(replace(run, held_out=corpus), linear, AFTER_FOLDS)
    listed: Counter[str] = Counter()
    for number, system in enumerate(config.systems):
        recipe = _on(embedding, RECIPES[system.recipe])
        recipe = _changed(recipe, config.train, "train")
        recipe = _changed(recipe, system.train, f"systems.{number}.train")
        for round_, seed in enumerate(system.seeds or config.seeds):
            for at, fold in enumerate(system.folds or run_folds):
                for run in _variants(system, recipe, fold, seed):
                    training = _training(config, recipe, run)
                    add(run, training, listed[system.name], round_, at)
        # No teacher is kept of a corpus that is held out.
        without = system.name in config.leave_one_corpus_out and not recipe.distillation
        for corpus in held_out if without else ():
            for run in _variants(system, recipe, 0, config.seeds[0]):
                if run.share == 1.0:
                    left_out = replace(run, held_out=corpus)
                    add(left_out, _training(config, recipe, left_out), AFTER_FOLDS)
        listed[system.name] += 1
    for run, trained in trainings.items():
        if (teacher_run := teacher_of(run, trained)) and teacher_run not in trainings:
            raise StudyError(
                f"found {run.name} without its teacher, expected {teacher_run.name} in the study"
            )
    if not trainings:
        raise StudyError("found neither systems nor peers, expected at least one of them")
    return {run: trainings[run] for run in sorted(trainings, key=lambda run: places[run])}


def teacher_of(run: Run, training: Training) -> Run | None:
    """Returns the run whose network teaches that of another run; None if nothing is distilled.

    It is the same system on embeddings, so that it is trained on the same speakers.
    """
    distilled = isinstance(training, TrainConfig) and training.distillation
    return replace(run, network="encoder") if distilled else None


def _held_out(config: StudyConfig) -> tuple[str, ...]:
    """Returns the corpora that are held out, each in its turn; none if no system asks for it."""
    wanted, where = config.leave_one_corpus_out, "leave_one_corpus_out"
    known = {*config.peers, *(system.name for system in config.systems)} - {"baseline"}
    if strange := sorted(set(wanted) - known):
        raise StudyError(
            f"{where}: found {', '.join(strange)}, expected some of {', '.join(sorted(known))} "
            "(a baseline is trained on one style alone)"
        )
    if wanted and len(config.corpora) < 2:
        raise StudyError(f"{where}: found corpora {list(config.corpora)}, expected 2 or more names")
    return config.corpora


def _training(config: StudyConfig, recipe: TrainConfig, run: Run) -> TrainConfig:
    """Returns how one run of a system with this recipe is trained."""
    return replace(
        recipe,
        folds=config.folds,
        test_fold=run.fold,
        cap_per_speaker_emotion=config.cap_per_speaker_emotion,
        ser_weight=run.ser_weight,
        selective=run.system == "selective-mtl" or (run.system == "kanjo" and recipe.selective),
        seed=run.seed,
    )


def _on(embedding: EmbeddingSpec, recipe: TrainConfig) -> TrainConfig:
    """Returns a recipe for networks on embeddings with these embeddings, others unchanged."""
    if recipe.embedding is None:
        return recipe
    network = replace(
        recipe.network,
        d_frame=embedding.d_frame,
        functionals=embedding.functionals if recipe.network.functionals else 0,
    )
    return replace(recipe, embedding=embedding, network=network)


def _variants(system: SystemPlan, recipe: TrainConfig, fold: int, seed: int) -> Iterator[Run]:
    """Yields a system's runs for one fold and seed."""
    without_style = system.name in ("baseline", "combined")
    if without_style and system.ser_weights not in (None, (1.0,)):
        raise StudyError(
            f"{system.name}: found ser_weights {list(system.ser_weights or ())}, expected none: "
            "it has no style task"
        )
    usual = (1.0,) if without_style else (recipe.ser_weight,)
    network = "paper" if RECIPES[system.recipe].network == PRESETS["paper"] else "compact"
    if recipe.embedding:
        network = "encoder"
    if recipe.distillation:
        network = DISTILLED
    styles = [style.value for style in STYLES] if system.name == "baseline" else ["both"]
    for share in system.shares:
        for ser_weight in system.ser_weights or usual:
            for trained_on in styles:
                yield Run(system.name, network, trained_on, share, ser_weight, fold, seed)


def cost(run: Run, training: Training) -> float:
    """Returns the approximate operations of a network's training; 0 for other systems."""
    if not isinstance(training, TrainConfig):
        return 0.0
    styles = 1.0 if run.trained_on == "both" else 0.5
    examples = max(
        training.epochs * run.share * styles * USUAL_UTTERANCES,
        training.least_updates * training.batch_size,
    )
    return examples * operations(training.network, input_sizes(training.inputs).longest)


def chosen(config: StudyConfig, corpora: Path | Sequence[Path]) -> list[Utterance]:
    """Returns the utterances of the study, of each voice and emotion at most so many.

    They are drawn once, for all runs. The limit keeps a large corpus from dominating the others.

    Raises:
        StudyError: a corpus is missing.
        ManifestError: a manifest can't be used.
    """
    utterances = read_corpora(corpora)
    there = sorted({u.corpus for u in utterances})
    if missing := sorted(set(config.corpora) - set(there)):
        where = corpora if isinstance(corpora, Path) else ", ".join(map(str, corpora))
        raise StudyError(f"{where}: found {', '.join(there)}, expected also {', '.join(missing)}")
    utterances = [u for u in utterances if not config.corpora or u.corpus in config.corpora]
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in np.random.default_rng(config.split_seed).permutation(len(utterances)).tolist():
        groups[utterances[row].corpus, utterances[row].voice, utterances[row].emotion].append(row)
    most = config.cap_per_speaker_emotion
    return [utterances[row] for row in sorted(r for rows in groups.values() for r in rows[:most])]


def beyond_cap(
    config: StudyConfig, corpora: Path | Sequence[Path], utterances: Sequence[Utterance]
) -> list[Utterance]:
    """Returns the utterances of the study's corpora that were not chosen.

    Raises:
        ManifestError: as `chosen`.
    """
    known, names = {u.path for u in utterances}, {u.corpus for u in utterances}
    return [u for u in read_corpora(corpora) if u.corpus in names and u.path not in known]


def with_more(split: Split, more: Sequence[Utterance]) -> Split:
    """Returns a split that trains also on more utterances of the voices that it trains on."""
    voices = {(u.corpus, u.voice) for u in split.train}
    own = [u for u in more if (u.corpus, u.voice) in voices]
    return replace(split, train=[*split.train, *own])


def restricted(split: Split, run: Run) -> Split:
    """Returns the part of a split that a run uses: its style, its share of the training utterances.

    The share is drawn with the run's seed, and is the same of each corpus and emotion.

    Raises:
        StudyError: a part has no utterances left.
    """
    styles = STYLES if run.trained_on == "both" else (run.trained_on,)
    train, valid, test = (
        [u for u in part if u.style in styles] for part in (split.train, split.valid, split.test)
    )
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in np.random.default_rng(run.seed).permutation(len(train)).tolist():
        groups[train[row].corpus, train[row].emotion].append(row)
    kept = sorted(row for rows in groups.values() for row in rows[: round(run.share * len(rows))])
    train = [train[row] for row in kept]
    for name, part in (("train", train), ("validate", valid), ("test", test)):
        if not part:
            raise StudyError(f"{run.name}: found no utterances to {name} on, expected some")
    corpora = {u.corpus for u in (*train, *test)}
    without_speakers = tuple(name for name in split.without_speakers if name in corpora)
    return replace(split, train=train, valid=valid, test=test, without_speakers=without_speakers)
