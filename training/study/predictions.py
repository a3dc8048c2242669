"""One run's predictions for its test speakers, from which a report is made; kept in a folder."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model.files import atomic_write
from model.labels import EMOTIONS, STYLES
from training.calibration import Calibration
from training.data.manifest import Utterance

FORMAT = 1


class PredictionsError(ValueError):
    """Predictions can't be read; the message states what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training of one system, and its test on one fold or on a corpus held out."""

    system: str  # baseline, combined, mtl, selective-mtl, kanjo; or the name of a peer
    network: str  # compact, paper; encoder, of one on embeddings; svm, ridge: of a peer
    trained_on: str  # acted, spontaneous, both
    share: float  # of the training utterances
    ser_weight: float  # lambda
    fold: int  # 0, if a corpus is held out
    seed: int
    held_out: str = ""  # the corpus that is tested in place of a fold; none of it is trained on

    @property
    def name(self) -> str:
        """The name of its folder: `selective-mtl_compact_both_full_0.8_fold0_seed0`.

        With a corpus held out it is `..._without-emodb_seed0`.
        """
        share = "full" if self.share == 1.0 else f"{self.share:g}"
        parts = (self.system, self.network, self.trained_on, share, f"{self.ser_weight:g}")
        tested = f"without-{self.held_out}" if self.held_out else f"fold{self.fold}"
        return "_".join((*parts, tested, f"seed{self.seed}"))


@dataclass(frozen=True, slots=True)
class Predictions:
    """The logits of every test utterance, in several test settings.

    A setting is `NORMALISATION/CONDITION`: how the features are normalised (`utterance`; `corpus`;
    `caller`: by earlier speech of the caller; `speaker`: by all speech of the speaker), and the
    channel (`clean`, `mulaw`, `alaw`, `loss5`, `loss10`, `noise10`). A system is tested in the
    settings that it supports.

    Raises:
        PredictionsError: arrays don't fit together, a label is unknown, a logit is not finite.
    """

    run: Run
    utterance: NDArray[np.str_]  # (N,) corpus/file
    corpus: NDArray[np.str_]  # (N,)
    speaker: NDArray[np.str_]  # (N,)
    style: NDArray[np.int64]  # (N,) as in STYLES
    emotion: NDArray[np.int64]  # (N,) as in EMOTIONS
    logits: Mapping[str, NDArray[np.float32]]  # setting -> (N, 4), not calibrated
    style_logits: Mapping[str, NDArray[np.float32]]  # setting -> (N, 2); none without a style head
    # normalisation -> what was fitted on the validation speakers; training/calibration.py
    temperature: Mapping[str, float]
    anger_at: Mapping[str, float]
    # Facts of the run: seconds, epochs, epoch (the chosen one), parameters, operations, corpora
    # without speakers, and its whole config.
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.utterance)
        for name in ("utterance", "corpus", "speaker", "style", "emotion"):
            self._expect(name, getattr(self, name), (count,))
        for name, labels in (("style", STYLES), ("emotion", EMOTIONS)):
            found = getattr(self, name)
            if count and not 0 <= found.min() <= found.max() < len(labels):
                raise PredictionsError(
                    f"{self.run.name}: {name} {found.min()} to {found.max()}, "
                    f"expected 0 to {len(labels) - 1}"
                )
        for by_setting, labels in ((self.logits, EMOTIONS), (self.style_logits, STYLES)):
            for setting, logits in by_setting.items():
                self._expect(setting, logits, (count, len(labels)))
                if not np.isfinite(logits).all():
                    raise PredictionsError(
                        f"{self.run.name}: {setting} has {np.sum(~np.isfinite(logits))} logits "
                        "that are not finite, expected none"
                    )

    def _expect(self, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise PredictionsError(f"{self.run.name}: {name} {array.shape}, expected {shape}")

    @classmethod
    def of(
        cls,
        run: Run,
        utterances: Sequence[Utterance],
        *,
        logits: Mapping[str, NDArray[np.float32]],
        style_logits: Mapping[str, NDArray[np.float32]],
        calibrations: Mapping[str, Calibration],  # by normalisation
        about: Mapping[str, Any],
    ) -> "Predictions":
        """Returns a run's predictions for test utterances, in the order of the logits."""
        return cls(
            run=run,
            utterance=np.array([f"{u.corpus}/{u.path.name}" for u in utterances]),
            corpus=np.array([u.corpus for u in utterances]),
            speaker=np.array([u.voice for u in utterances]),
            style=np.array([STYLES.index(u.style) for u in utterances], np.int64),
            emotion=np.array([EMOTIONS.index(u.emotion) for u in utterances], np.int64),
            logits=logits,
            style_logits=style_logits,
            temperature={name: one.temperature for name, one in calibrations.items()},
            anger_at={name: one.anger_at for name, one in calibrations.items()},
            about=about,
        )

    def save(self, folder: Path) -> None:
        """Writes `answers.npz` and then `run.json`, whose presence marks the run as finished."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            name: getattr(self, name)
            for name in ("utterance", "corpus", "speaker", "style", "emotion")
        }
        arrays |= {f"logits/{setting}": logits for setting, logits in self.logits.items()}
        arrays |= {
            f"style_logits/{setting}": logits for setting, logits in self.style_logits.items()
        }
        with atomic_write(folder / "answers.npz") as unfinished:
            np.savez_compressed(unfinished, allow_pickle=False, **arrays)
        facts = {
            "format": FORMAT,
            "run": asdict(self.run),
            "emotions": [emotion.value for emotion in EMOTIONS],
            "styles": [style.value for style in STYLES],
            "temperature": dict(self.temperature),
            "anger_at": dict(self.anger_at),
            "about": dict(self.about),
        }
        with atomic_write(folder / "run.json") as unfinished:
            unfinished.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Predictions":
        """Returns what `save` wrote.

        Raises:
            PredictionsError: a file is missing or damaged, or holds other labels.
        """
        try:
            facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            path = folder / "answers.npz"
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
            found = facts["format"], facts["emotions"], facts["styles"]
            expected = FORMAT, [e.value for e in EMOTIONS], [s.value for s in STYLES]
            if found != expected:
                raise PredictionsError(f"{folder}: format and labels {found}, expected {expected}")
            return cls(
                run=Run(**facts["run"]),
                logits=_under("logits/", arrays),
                style_logits=_under("style_logits/", arrays),
                temperature=facts["temperature"],
                anger_at=facts["anger_at"],
                about=facts["about"],
                **{name: arrays[name] for name in ("utterance", "corpus", "speaker")},
                **{name: arrays[name] for name in ("style", "emotion")},
            )
        except PredictionsError:
            raise
        except (OSError, EOFError, BadZipFile, zlib.error, KeyError, TypeError, ValueError) as err:
            raise PredictionsError(f"{folder}: {err!r}, expected a finished run") from err


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {k.removeprefix(prefix): array for k, array in arrays.items() if k.startswith(prefix)}


def finished(folder: Path) -> list[Path]:
    """Returns the folders of all finished runs of a study, by name."""
    return sorted(path.parent for path in folder.glob("*/run.json"))
