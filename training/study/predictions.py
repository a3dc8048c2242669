"""What one run said of speakers it never heard: all that a report is made of, kept in a folder."""

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model.labels import EMOTIONS, STYLES

FORMAT = 1


class PredictionsError(ValueError):
    """Answers can't be read; the message says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training of one system, and its test on one fold."""

    system: str  # baseline, combined, mtl, selective-mtl, kanjo; a peer's name
    network: str  # compact, paper; svm
    trained_on: str  # acted, spontaneous, both
    share: float  # of the training utterances
    ser_weight: float  # lambda
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folder: `selective-mtl_compact_both_full_0.8_fold0_seed0`."""
        share = "full" if self.share == 1.0 else f"{self.share:g}"
        parts = (self.system, self.network, self.trained_on, share, f"{self.ser_weight:g}")
        return "_".join((*parts, f"fold{self.fold}", f"seed{self.seed}"))


@dataclass(frozen=True, slots=True)
class Predictions:
    """The logits of every test utterance, as heard in several ways.

    A way is `NORMALISATION/CONDITION`: how the features are normalised (`utterance`; `corpus`;
    `caller`: by the caller's speech before; `speaker`: by all that the speaker ever said) and what
    the line does (`clean`, `mulaw`, `alaw`, `loss5`, `loss10`, `noise10`). A system is tested in
    those ways that it knows.
    """

    run: Run
    utterance: NDArray[np.str_]  # (N,) corpus/file
    corpus: NDArray[np.str_]  # (N,)
    speaker: NDArray[np.str_]  # (N,)
    style: NDArray[np.int64]  # (N,) as in STYLES
    emotion: NDArray[np.int64]  # (N,) as in EMOTIONS
    logits: Mapping[str, NDArray[np.float32]]  # way -> (N, 4), not calibrated
    style_logits: Mapping[str, NDArray[np.float32]]  # way -> (N, 2); none without a style head
    temperature: Mapping[str, float]  # normalisation -> what divides the logits, from validation
    # normalisation -> probability of anger from which on an utterance counts as angry, when only
    # anger and the rest are told apart; from validation
    anger_at: Mapping[str, float]
    # What the run was: seconds, epochs, epoch (the one chosen), parameters, operations, without
    # speakers, and its whole config.
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises AnswersError: arrays that don't fit together, an unknown label, NaN."""
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
        for ways, labels in ((self.logits, EMOTIONS), (self.style_logits, STYLES)):
            for way, logits in ways.items():
                self._expect(way, logits, (count, len(labels)))
                if not np.isfinite(logits).all():
                    raise PredictionsError(
                        f"{self.run.name}: {way} has {np.sum(~np.isfinite(logits))} logits that "
                        "are not finite, expected none"
                    )

    def _expect(self, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise PredictionsError(f"{self.run.name}: {name} {array.shape}, expected {shape}")

    def save(self, folder: Path) -> None:
        """`run.json` and `answers.npz`; run.json comes last: where it is, the run is done."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            name: getattr(self, name)
            for name in ("utterance", "corpus", "speaker", "style", "emotion")
        }
        arrays |= {f"logits/{way}": logits for way, logits in self.logits.items()}
        arrays |= {f"style_logits/{way}": logits for way, logits in self.style_logits.items()}
        unfinished = folder / "answers.part.npz"
        np.savez_compressed(unfinished, allow_pickle=False, **arrays)
        os.replace(unfinished, folder / "answers.npz")
        facts = {
            "format": FORMAT,
            "run": asdict(self.run),
            "emotions": [emotion.value for emotion in EMOTIONS],
            "styles": [style.value for style in STYLES],
            "temperature": dict(self.temperature),
            "anger_at": dict(self.anger_at),
            "about": dict(self.about),
        }
        unfinished = folder / "run.json.part"
        unfinished.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        os.replace(unfinished, folder / "run.json")

    @classmethod
    def load(cls, folder: Path) -> "Predictions":
        """What `save` wrote.

        Raises:
            AnswersError: it is not there, not whole, or of other labels.
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
    """The folders of all finished runs of a study, by name."""
    return sorted(path.parent for path in folder.glob("*/run.json"))
