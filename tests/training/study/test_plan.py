from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from model.labels import Style
from tests.paths import ROOT
from training.data.manifest import Utterance
from training.data.splits import speaker_split
from training.recipes import RECIPES, TrainConfig
from training.study.plan import (
    StudyConfig,
    StudyError,
    beyond_cap,
    chosen,
    plan,
    restricted,
    teacher_of,
    with_more,
)
from training.study.predictions import Run

STUDIES = ROOT / "training" / "studies"

EPOCHS = 20
TINY = f"""
name = "tiny"
run_folds = [0]
conditions = ["clean", "mulaw"]

[train]
epochs = {EPOCHS}
least_updates = 0
batch_size = 8
learning_rate = 1e-2
least_s = 0.2

[train.network]
d_lstm = 8
d_att = 8
d_den1 = 16
d_den2 = 12
n_head = 2
d_style = 8
conv_channels = [16]

[[systems]]
name = "baseline"

[[systems]]
name = "selective-mtl"
shares = [1.0, 0.5]
"""


def config_of(text: str, folder: Path) -> StudyConfig:
    file = folder / "study.toml"
    file.write_text(text)
    return StudyConfig.from_toml(file)


@pytest.fixture
def config(tmp_path: Path) -> StudyConfig:
    return config_of(TINY, tmp_path)


def test_runs_are_ordered_by_fold_and_then_by_cost(tmp_path: Path) -> None:
    config = config_of(
        """
        name = "order"
        folds = 3
        seeds = [4, 7]
        peers = ["egemaps"]
        systems = [
            { name = "selective-mtl", shares = [1.0, 0.5], seeds = [4] },
            { name = "baseline" },
            { name = "combined" },
            { name = "selective-mtl", ser_weights = [0.2, 0.8], folds = [1], seeds = [4] },
        ]
        """,
        tmp_path,
    )
    a_fold = [
        ("egemaps", "both", 1.0, 1.0),
        ("selective-mtl", "both", 0.5, 0.8),
        ("baseline", "acted", 1.0, 1.0),
        ("baseline", "spontaneous", 1.0, 1.0),
        ("selective-mtl", "both", 1.0, 0.8),
        ("combined", "both", 1.0, 1.0),
    ]
    with_seed = {4: a_fold, 7: [row for row in a_fold if row[0] in ("baseline", "combined")]}
    expected = [
        (*row, fold, seed) for seed in (4, 7) for fold in range(3) for row in with_seed[seed]
    ]
    found = [(r.system, r.trained_on, r.share, r.ser_weight, r.fold, r.seed) for r in plan(config)]
    assert found == [*expected, ("selective-mtl", "both", 1.0, 0.2, 1, 4)]
    assert len({run.name for run in plan(config)}) == len(found)


def test_systems_differ_as_in_the_paper(config: StudyConfig) -> None:
    text = config.model_copy(update={"systems": ()}).model_dump()
    names = ("baseline", "combined", "mtl", "selective-mtl")
    systems = [{"name": name, "recipe": "paper"} for name in names]
    paper = StudyConfig.model_validate({**text, "train": {}, "systems": systems, "seeds": (3,)})
    for run, training in plan(paper).items():
        assert run.network == "paper"
        assert training == replace(
            RECIPES["paper"],
            ser_weight=1.0 if run.system in ("baseline", "combined") else 0.8,
            selective=run.system == "selective-mtl",
            test_fold=0,
            folds=5,
            seed=3,
            cap_per_speaker_emotion=25,
        )


def test_any_setting_of_a_training_can_be_changed(tmp_path: Path) -> None:
    text = TINY.replace('name = "baseline"', 'name = "baseline"\ntrain = {network.d_att = 9}')
    trainings = {run.system: training for run, training in plan(config_of(text, tmp_path)).items()}
    compact = RECIPES["compact"]
    sizes = {"d_lstm": 8, "d_den1": 16, "d_den2": 12, "n_head": 2, "d_style": 8}
    for system, d_att in (("baseline", 9), ("selective-mtl", 8)):
        training = trainings[system]
        assert training
        assert training.network == replace(
            compact.network, **sizes, d_att=d_att, conv_channels=(16,)
        )
        assert (training.epochs, training.batch_size) == (EPOCHS, 8)
        assert training.weight_decay == compact.weight_decay


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("run_folds", "runfolds", "runfolds: there is no such setting, expected one of name, fol"),
        ("shares", "share", r"systems.1.share: there is no such setting, expected one of name, re"),
        ("epochs", "epoch", "train.epoch: there is no such setting, expected one of .*epochs"),
        ("d_att", "d_attention", "train.network.d_attention: there is no such .*d_att"),
        (f"epochs = {EPOCHS}", "epochs = 8.5", "train.epochs: found 8.5: .*integer"),
        (f"epochs = {EPOCHS}", "seed = 8", "train.seed: there is no such setting"),
        ("d_att = 8", 'd_att = "eight"', "train.network.d_att: found 'eight': .*integer"),
        ("d_att = 8", "conv_width = 4", "train.network: conv_width is 4, expected an odd"),
        ('"baseline"', '"base"', "systems.0.name: found 'base': .*'baseline', 'combined', 'mtl'"),
        ('"clean"', '"snow"', "conditions.0: found 'snow': there is no such one, expected.*clean"),
        ("[1.0, 0.5]", "[1.5]", "systems.1.shares.0: found 1.5: .*less than or equal to 1"),
        ("[1.0, 0.5]", "[]", r"systems.1.shares: found \[\]"),
        ("shares", "ser_weights = [0]\nshares", "ser_weights.0: found 0: .*greater than 0"),
        ("run_folds = [0]", "run_folds = [5]", "found fold 5, expected 0 to 4"),
        ('name = "tiny"', "", "name: found none, expected one"),
        ('name = "tiny"', 'name = "tiny', "expected a study's TOML"),
        ('"selective-mtl"', '"combined"\nser_weights = [0.5]', "combined: found ser_weights .0.5"),
        (
            '[[systems]]\nname = "sel',
            '[[systems]]\nname = "baseline"\ntrain = {epochs = 9}\n[[systems]]\nname = "sel',
            "baseline_compact_acted_full_1_fold0_seed0 is listed twice with other settings",
        ),
    ],
)
def test_an_invalid_file_is_refused(before: str, after: str, message: str, tmp_path: Path) -> None:
    assert before in TINY
    with pytest.raises(StudyError, match=f"study.toml: .*{message}"):
        config_of(TINY.replace(before, after, 1), tmp_path)


def test_the_included_studies_have_the_names_of_their_files() -> None:
    files = sorted(STUDIES.glob("*.toml"))
    assert [StudyConfig.from_toml(file).name for file in files] == [file.stem for file in files]


@pytest.mark.parametrize("name", ["compact", "paper", "smoke"])
def test_complete_studies_have_the_paper_s_systems(name: str) -> None:
    config = StudyConfig.from_toml(STUDIES / f"{name}.toml")
    runs = list(plan(config))
    every = {run.system for run in runs} - set(config.peers)
    assert every >= {"baseline", "combined", "mtl", "selective-mtl"}
    halves = {run.system for run in runs if run.share == 0.5}
    assert halves == {"combined", "mtl", "selective-mtl"}


def test_at_most_the_cap_is_chosen_of_each_voice_and_emotion(
    config: StudyConfig, corpora: Path
) -> None:
    one = config.model_copy(update={"cap_per_speaker_emotion": 1})
    utterances = chosen(one, corpora)
    groups = Counter((u.corpus, u.speaker, u.emotion) for u in utterances)
    assert set(groups.values()) == {1}
    assert len(groups) == 2 * 5 * 4
    assert chosen(one, corpora) == utterances
    assert chosen(one.model_copy(update={"split_seed": 1}), corpora) != utterances
    assert len(chosen(config, corpora)) == 2 * len(utterances)


def test_a_study_of_some_corpora_has_no_others(config: StudyConfig, corpora: Path) -> None:
    some = config.model_copy(update={"corpora": ("stage",)})
    assert {u.corpus for u in chosen(some, corpora)} == {"stage"}
    with pytest.raises(StudyError, match="found stage, street, expected also stadium"):
        chosen(some.model_copy(update={"corpora": ("stadium", "stage")}), corpora)


def test_a_share_of_the_training_utterances_is_the_same_of_each_corpus_and_emotion(
    utterances: list[Utterance],
) -> None:
    split = speaker_split(utterances, 0, 5, 0)
    run = Run("combined", "compact", "both", 0.5, 1.0, 0, 0)
    half = restricted(split, run)
    groups = [Counter((u.corpus, u.emotion) for u in part.train) for part in (split, half)]
    assert groups[1] == {group: count / 2 for group, count in groups[0].items()}
    assert (half.valid, half.test) == (split.valid, split.test)
    assert restricted(split, run) == half
    assert restricted(split, replace(run, seed=1)).train != half.train
    assert restricted(split, replace(run, share=1.0)) == split


def test_a_baseline_has_its_own_style_alone(utterances: list[Utterance]) -> None:
    split = speaker_split(utterances, 0, 5, 0)
    run = Run("baseline", "compact", "acted", 1.0, 1.0, 0, 0)
    own = restricted(split, run)
    for part, of in ((own.train, split.train), (own.valid, split.valid), (own.test, split.test)):
        assert part == [u for u in of if u.style is Style.ACTED]
    stage = replace(split, test=own.test)
    with pytest.raises(StudyError, match="found no utterances to test on, expected some"):
        restricted(stage, replace(run, trained_on="spontaneous"))


def test_chosen_systems_are_trained_without_each_corpus_in_turn(tmp_path: Path) -> None:
    text = """
        name = "unseen"
        run_folds = [0]
        corpora = ["stage", "street"]
        peers = ["egemaps", "compare"]
        leave_one_corpus_out = ["compare", "kanjo"]
        systems = [{ name = "combined" }, { name = "kanjo", recipe = "kanjo", shares = [1.0, 0.5] }]
        """
    runs = [run for run in plan(config_of(text, tmp_path)) if run.held_out]
    assert [(run.system, run.held_out) for run in runs] == [
        ("compare", "stage"),
        ("compare", "street"),
        ("kanjo", "stage"),
        ("kanjo", "street"),
    ]
    assert runs[2].name == "kanjo_compact_both_full_0.8_without-stage_seed0"
    for before, after, message in (
        ('"kanjo"]', '"mtl"]', "found mtl, expected some of combined, compare, egemaps, kanjo"),
        ('corpora = ["stage", "street"]', "", r"found corpora \[\], expected 2 or more names"),
    ):
        with pytest.raises(StudyError, match=f"leave_one_corpus_out: {message}"):
            config_of(text.replace(before, after), tmp_path)


def test_utterances_beyond_the_cap_are_trained_on_only_of_voices_that_are(
    config: StudyConfig, corpora: Path
) -> None:
    """A distilled network has them too, because a teacher's answers need no labels."""
    one = config.model_copy(update={"cap_per_speaker_emotion": 1, "corpora": ("stage",)})
    utterances = chosen(one, corpora)
    more = beyond_cap(one, corpora, utterances)
    assert {u.corpus for u in more} == {"stage"}
    assert len(more) == len(utterances)
    assert not {u.path for u in more} & {u.path for u in utterances}
    split = speaker_split(utterances, 0, 5, 0)
    widened = with_more(split, more)
    assert (widened.valid, widened.test) == (split.valid, split.test)
    assert len(widened.train) == 2 * len(split.train)
    assert {u.speaker for u in widened.train} == {u.speaker for u in split.train}


DISTILLED = """
name = "distilled"
corpora = ["stage", "street"]
leave_one_corpus_out = ["kanjo"]

[[systems]]
name = "kanjo"
recipe = "base"

[[systems]]
name = "kanjo"
recipe = "distilled"
train = { distillation.share = 0.4 }
"""


def test_a_distilled_network_is_taught_in_its_own_fold_after_its_teacher(tmp_path: Path) -> None:
    trainings = plan(config_of(DISTILLED, tmp_path))
    runs = list(trainings)
    distilled = [run for run in runs if run.network == "distilled"]
    assert [run.fold for run in distilled] == [0, 1, 2, 3, 4]
    assert not any(run.held_out for run in distilled)
    for run in distilled:
        teacher = teacher_of(run, trainings[run])
        assert teacher == replace(run, network="encoder")
        assert runs.index(teacher) < runs.index(run)
        assert teacher_of(teacher, trainings[teacher]) is None
        training = trainings[run]
        assert isinstance(training, TrainConfig)
        assert training.distillation
        assert training.distillation.share == 0.4


def test_a_distilled_network_without_its_teacher_is_refused(tmp_path: Path) -> None:
    alone = DISTILLED.replace('recipe = "base"', 'recipe = "kanjo"')
    with pytest.raises(
        StudyError, match="found kanjo_distilled_.* without its teacher, expected ka"
    ):
        config_of(alone, tmp_path)
    others = DISTILLED.replace('recipe = "base"', 'recipe = "base"\nfolds = [1]')
    with pytest.raises(StudyError, match="without its teacher, expected kanjo_encoder_.*_fold0_"):
        config_of(others, tmp_path)
