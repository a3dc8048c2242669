"""The teacher of a distilled network: the posteriors of a trained network for the training speech.

It is run during the training for each example, with the enrolment that was drawn for it, but on the
whole utterance and a clean channel, whatever cut and channel the student is given: the student
learns to answer alike. Of the teacher only its inputs are kept on disk.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from model import artifact
from model.artifact import ArtifactError
from model.export import ExportError, inputs_of, released
from model.gate import GateSpec
from model.input_sizes import InputSpec
from model.network import NetworkConfig, d_heads
from model.projection import Projection
from training import checkpoint
from training.checkpoint import CheckpointError
from training.data.channel import CLEAN
from training.data.dataset import Dataset, Drawn
from training.data.features import Preparation
from training.data.splits import Split
from training.recipes import TrainConfig

LEAST = 1e-9  # posterior

Network = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
TrainedOn = Mapping[str, Mapping[str, Any]]  # by corpus, as a checkpoint has it


class TeacherError(ValueError):
    """A network can't be a teacher; the message states what was found and what was expected."""


class Targets(NamedTuple):
    """What a batch of examples is trained towards, beside its labels."""

    posteriors: Tensor  # (B, 4) at the temperature of the distillation
    # (B, C) principal components of its functionals, as their distance from the speaker baseline,
    # in which the mean of all voices counts as one utterance.
    distance: Tensor


class Imitation(nn.Module):
    """Reads a teacher's components out of the inputs of a student's heads.

    It is trained with the members, and needed during the training alone.
    """

    def __init__(self, config: NetworkConfig, components: int) -> None:
        super().__init__()
        readouts = (nn.Linear(d_heads(config), components) for _ in range(config.members))
        self.readouts = nn.ModuleList(readouts)

    def loss(self, number: int, voice: Tensor, distance: Tensor) -> Tensor:
        """Returns the mean squared error of a member, by its number, over batch and components."""
        return mse_loss(self.readouts[number](voice), distance)


class Teacher:
    """A trained network, and the training speech as its inputs."""

    def __init__(
        self,
        path: Path,
        config: TrainConfig,
        split: Split,
        cache: Path,
        encoder: Path | None = None,
    ) -> None:
        """Reads the network, and makes of the training part its inputs that the cache lacks.

        Args:
            path: a finished training's `best.pt`, or an artifact.
            config: that of the student.
            encoder: file of the encoder, of a teacher on embeddings that are not in the cache.

        Raises:
            TeacherError: the config is not of a distilled network; or the file is no trained
                network, or one that was trained on speakers who are held out from the student.
            EncoderFileError, RecordingError: as `Dataset`.
        """
        if config.distillation is None:
            raise TeacherError(f"found the teacher {path}, expected none: nothing is distilled")
        self._network, inputs, trained_on = _read(path)
        _expect_held_out(path, trained_on, split)
        self._path = path
        self._digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self._how = config.distillation
        self._views = config.views
        self._data = Dataset(split.train, [CLEAN], Preparation(*inputs), cache, encoder)

        self.imitation = Imitation(config.network, self._how.components)
        self._components = Projection(self._data.sizes.functionals, self._how.components)
        if self._how.imitation:
            _, spread = self._data.voice_statistics()
            of_whole = torch.from_numpy(self._data.functionals()[0])
            self._components.fit(of_whole, torch.from_numpy(spread))

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps of it: which teacher it is, and the imitation."""
        return {"digest": self._digest, "imitation": self.imitation.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes what a checkpoint has kept.

        Raises:
            TeacherError: it is of another teacher.
        """
        if state["digest"] != self._digest:
            raise TeacherError(
                f"{self._path}: SHA-256 {self._digest[:16]}, expected {state['digest'][:16]}, with "
                "which the training began"
            )
        self.imitation.load_state_dict(state["imitation"])

    @torch.no_grad()
    def targets(self, drawn: Sequence[Drawn]) -> Targets:
        """Returns the targets of a batch's examples, the same in every view of one."""
        once = drawn[: len(drawn) // self._views]
        batch = self._data.batch_of([replace(one, channel=0, cut=0) for one in once])
        emotion, _ = self._network(*batch.inputs)
        emotion = (emotion.clamp(min=LEAST).log() / self._how.temperature).softmax(1)
        count = batch.baseline_utterances[:, None]
        baseline = self._components(batch.baseline) * (count / (1.0 + count))
        distance = self._components(batch.functionals) - baseline
        return Targets(emotion.repeat(self._views, 1), distance.repeat(self._views, 1))


def _read(path: Path) -> tuple[Network, tuple[InputSpec, GateSpec], TrainedOn]:
    """Returns a network that gives posteriors, how its inputs are made, and its speakers."""
    try:
        loaded = artifact.load(path)
    except ArtifactError as no_artifact:
        try:
            state = checkpoint.load(path)
            return released(state), inputs_of(state["config"]), state["trained_on"]
        except CheckpointError:
            raise TeacherError(
                f"{no_artifact}; expected a model, or best.pt of a finished training"
            ) from no_artifact
        except ExportError as error:
            raise TeacherError(f"{path}: {error}") from error
    meta = loaded.meta
    return loaded, (meta.inputs, meta.gate), meta.training["trained_on"]


def _expect_held_out(path: Path, trained_on: TrainedOn, split: Split) -> None:
    """Raises TeacherError if the teacher was trained on someone whom the student is tested on.

    A teacher was trained on some speakers, and its epoch was chosen on others. Its validation
    speakers may be those of the student. A corpus without speakers has one voice, "".
    """

    def speakers_of(kind: str) -> set[tuple[str, str]]:
        return {(corpus, s) for corpus, of in trained_on.items() for s in of.get(kind, ())}

    trained, chosen_on = speakers_of("speakers"), speakers_of("valid_speakers")
    tested, validated = (
        {(u.corpus, u.speaker) for u in part} for part in (split.test, split.valid)
    )
    if leaks := sorted((tested & (trained | chosen_on)) | (validated & trained)):
        named = ", ".join(
            f"{corpus} {speaker or '(speakers not known)'}" for corpus, speaker in leaks
        )
        raise TeacherError(
            f"{path}: the teacher was trained on {len(leaks)} speakers who are held out here "
            f"({named}), expected none: train it on the same corpora, fold and seed"
        )
