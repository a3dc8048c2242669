"""The teacher of a distilled network: its answers, and who can not be one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model import artifact
from model.encoder import save_encoder
from model.export import export, released
from model.labels import ALERTED_EMOTIONS, EMOTIONS, Emotion
from model.network import EmotionNetwork
from tests.encoded_model import tiny_encoder
from tests.training.conftest import TINY, TINY_WITH_BASELINE
from tests.training.test_train_on_embeddings import SMALL
from training import checkpoint
from training.data.channel import CLEAN
from training.data.dataset import Dataset, Drawn
from training.data.manifest import Utterance
from training.data.splits import Split, speaker_split
from training.recipes import Distillation
from training.teacher import Teacher, TeacherError
from training.train import Epoch, predict_logits, train

STUDENT = replace(
    TINY_WITH_BASELINE,
    epochs=2,
    distillation=Distillation(share=0.6, temperature=2.0, imitation=0.5, components=6),
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    save_encoder(tiny_encoder(), path)
    return path


@pytest.fixture(scope="module")
def teacher(
    split: Split, cache: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return train(SMALL, split, tmp_path_factory.mktemp("teacher"), cache, encoder=encoder)


def test_the_targets_are_what_the_teacher_answers_to_the_whole_utterance_on_a_clean_line(
    split: Split, cache: Path, encoder: Path, teacher: Path
) -> None:
    distilled_from = Teacher(teacher, STUDENT, split, cache, encoder)
    drawn = [Drawn(3), Drawn(0, 1, 2), Drawn(7, 1, 0, (1, 2))]
    targets = distilled_from.targets([*drawn, *drawn])  # two views
    data = Dataset(split.train, [CLEAN], SMALL.test_preparation, cache, encoder)
    whole = data.batch_of([replace(one, channel=0, cut=0) for one in drawn])
    state = checkpoint.load(teacher)
    with torch.inference_mode():
        logits, _ = released(state).network(*whole.inputs)
    softened = (logits / state["temperature"] / 2.0).softmax(1)
    torch.testing.assert_close(targets.posteriors, softened.repeat(2, 1))
    assert targets.distance.shape == (6, 6)
    assert torch.equal(targets.distance[:3], targets.distance[3:])
    assert float(targets.distance.std()) > 0.3


def test_a_model_teaches_as_its_checkpoint_does(
    split: Split, cache: Path, encoder: Path, teacher: Path, tmp_path: Path
) -> None:
    export(
        teacher,
        tmp_path / "model.pt",
        name="base",
        version="0",
        commit="0",
        licence="CC0-1.0",
        thresholds={emotion: artifact.Thresholds(0.9, 0.8) for emotion in ALERTED_EMOTIONS},
        encoder=encoder,
    )
    one, other = (
        Teacher(path, STUDENT, split, cache, encoder).targets([Drawn(row) for row in range(8)])
        for path in (teacher, tmp_path / "model.pt")
    )
    torch.testing.assert_close(one.posteriors, other.posteriors, atol=1e-2, rtol=0)


def test_a_distilled_network_learns_what_its_teacher_answers(
    split: Split, cache: Path, encoder: Path, teacher: Path, tmp_path: Path
) -> None:
    """The teacher answers nothing but sadness, and the student has no labels beside it."""
    state = checkpoint.load(teacher)
    for name, weight in state["network"].items():
        if name.endswith(".emotion.5.bias"):
            weight[EMOTIONS.index(Emotion.SADNESS)] += 50.0
    checkpoint.save(tmp_path / "sad.pt", state)
    config = replace(STUDENT, distillation=Distillation(share=1.0), epochs=6)
    best = train(config, split, tmp_path, cache, encoder=encoder, teacher=tmp_path / "sad.pt")
    network = EmotionNetwork(config.network)
    network.load_state_dict(checkpoint.load(best.parent / "last.pt")["network"])
    data = Dataset(split.train, config.lines, config.preparation, cache)
    recognised = predict_logits(network, data, "caller").emotion.argmax(1)
    assert (recognised == EMOTIONS.index(Emotion.SADNESS)).float().mean() > 0.9


def test_an_interrupted_distillation_continues_to_the_same_bits(
    split: Split, cache: Path, encoder: Path, teacher: Path, tmp_path: Path
) -> None:
    def interrupt(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    whole = checkpoint.load(
        train(STUDENT, split, tmp_path / "a", cache, encoder=encoder, teacher=teacher)
    )
    with pytest.raises(KeyboardInterrupt):
        train(STUDENT, split, tmp_path / "b", cache, interrupt, encoder, teacher)
    other = tmp_path / "other.pt"
    checkpoint.save(other, {**checkpoint.load(teacher), "temperature": 3.0})
    with pytest.raises(TeacherError, match="expected .*, with which the training began"):
        train(STUDENT, split, tmp_path / "b", cache, teacher=other)
    continued = checkpoint.load(train(STUDENT, split, tmp_path / "b", cache, teacher=teacher))
    assert whole["scores"] == continued["scores"]
    for name, weight in whole["network"].items():
        assert torch.equal(weight, continued["network"][name]), name
    undistilled = replace(STUDENT, distillation=None)
    labels_alone = checkpoint.load(train(undistilled, split, tmp_path / "c", cache))
    assert whole["network"].keys() == labels_alone["network"].keys()
    assert not all(
        torch.equal(weight, labels_alone["network"][name])
        for name, weight in whole["network"].items()
    )


# ---- who can't be a teacher --------------------------------------------------------------------


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_a_teacher_who_has_heard_speakers_that_are_held_out_is_refused(
    fold: int, utterances: list[Utterance], teacher: Path, tmp_path: Path
) -> None:
    """The teacher is of fold 0: it was tested there, and its epoch was chosen in fold 1."""
    other = speaker_split(utterances, fold, 5, 0)
    with pytest.raises(
        TeacherError, match=f"{teacher}: the teacher was trained on .* held out here .*s"
    ):
        Teacher(teacher, STUDENT, other, tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is computed before"


def test_a_teacher_of_unknown_speakers_is_refused(
    split: Split, teacher: Path, tmp_path: Path
) -> None:
    state = checkpoint.load(teacher)
    state["trained_on"]["stage"]["speakers"] = [""]
    checkpoint.save(tmp_path / "teacher.pt", state)
    nameless = replace(split, test=[replace(u, speaker="") for u in split.test])
    with pytest.raises(TeacherError, match=r"stage \(speakers not known\)"):
        Teacher(tmp_path / "teacher.pt", STUDENT, nameless, tmp_path)


def test_what_is_no_trained_network_is_refused(split: Split, teacher: Path, tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(TeacherError, match=f"{path}: .*{message}"):
            Teacher(path, STUDENT, split, tmp_path / "cache")

    refused(tmp_path / "none.pt", "expected a readable file")
    (tmp_path / "text.pt").write_text("teacher")
    refused(tmp_path / "text.pt", "expected a model, or best.pt of a finished training")
    refused(teacher.parent / "last.pt", "a checkpoint to go on from, expected best.pt")
    state = checkpoint.load(teacher)
    del state["scores"], state["trained_on"], state["temperature"]
    checkpoint.save(tmp_path / "early.pt", state)
    refused(tmp_path / "early.pt", "the training has not ended")


def test_a_teacher_is_for_a_network_that_is_distilled_and_only_for_that(
    split: Split, cache: Path, teacher: Path, tmp_path: Path
) -> None:
    with pytest.raises(TeacherError, match="found no teacher, expected one"):
        train(STUDENT, split, tmp_path, cache)
    with pytest.raises(TeacherError, match="expected none: nothing is distilled"):
        train(TINY, split, tmp_path, cache, teacher=teacher)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"temperature": 0.0}, {"imitation": -1.0}])
def test_an_impossible_distillation_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a share above 0 to 1"):
        Distillation(**wrong)  # type: ignore[arg-type]
