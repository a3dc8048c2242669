"""A run's training curves in TensorBoard."""

from collections.abc import Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from training.train import Epoch


class TrainingCurves:
    """Writes loss and validation UA of each epoch; the files are opened at the first epoch.

    Writing begins with all epochs that were logged before and replaces what TensorBoard has of
    them, so that the curves of a run that was killed neither repeat nor lack a step.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._written = 0

    def __enter__(self) -> "TrainingCurves":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()

    def write(self, epochs: Sequence[Epoch]) -> None:
        """Writes the epochs of the log that this object has not written yet."""
        if self._writer is None:
            self._writer = SummaryWriter(str(self._folder), purge_step=epochs[0].number)
        for epoch in epochs[self._written :]:
            self._writer.add_scalar("loss", epoch.loss, epoch.number)
            self._writer.add_scalar("valid UA", epoch.valid_ua, epoch.number)
            for corpus, ua in epoch.valid.items():
                self._writer.add_scalar(f"valid UA of a corpus/{corpus}", ua, epoch.number)
        self._writer.flush()
        self._written = len(epochs)
