"""One run of a study: trains a network or another system, tests it and saves its predictions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from model.input_sizes import input_sizes
from model.network import EmotionNetwork, operations
from training import checkpoint
from training.data.channel import CONDITIONS
from training.data.manifest import Utterance
from training.data.splits import held_out_split, speaker_split
from training.study.curves import TrainingCurves
from training.study.encoder_linear import EncoderLinear, run_encoder_linear
from training.study.folder import logged_epochs
from training.study.opensmile_svm import run_opensmile
from training.study.plan import StudyConfig, Training, restricted, teacher_of, with_more
from training.study.predict import predict
from training.study.predictions import Predictions, Run
from training.train import Epoch, train

HELD_OUT_CONDITIONS = ("clean", "mulaw")  # tested on a corpus that is held out, to save time


def perform(
    run: Run,
    training: Training,  # as planned
    config: StudyConfig,
    utterances: Sequence[Utterance],  # as chosen
    out: Path,
    cache: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    encoder: Path | None = None,
    more: Sequence[Utterance] = (),  # that were not chosen: a distilled network trains on them too
) -> Predictions:
    """Trains or continues, tests and saves, in `out/RUN`; curves are in `out/curves/RUN`.

    Raises:
        StudyError, SplitError: there are not enough utterances.
        CheckpointError, RecordingError, EncoderFileError, TeacherError, OpenSmileError,
            EncoderLinearError: as `train`, `predict`, `run_opensmile` and `run_encoder_linear`.
    """
    folder = out / run.name
    split = restricted(
        held_out_split(utterances, run.held_out, config.folds, config.split_seed)
        if run.held_out
        else speaker_split(utterances, run.fold, config.folds, config.split_seed),
        run,
    )
    names = [n for n in config.conditions if not run.held_out or n in HELD_OUT_CONDITIONS]
    conditions = {name: CONDITIONS[name] for name in names or config.conditions[:1]}
    about: dict[str, Any] = {"without_speakers": list(split.without_speakers)}
    began = time.monotonic()
    if training is None:
        predictions = run_opensmile(run, split, conditions, cache)
        about["seconds"] = time.monotonic() - began
    elif isinstance(training, EncoderLinear):
        predictions = run_encoder_linear(run, training, split, conditions, cache, encoder)
        about["seconds"] = time.monotonic() - began
    else:
        with TrainingCurves(out / "curves" / run.name) as curves:

            def after_epoch(epoch: Epoch) -> None:
                curves.write(logged_epochs(run, out))
                on_epoch(epoch)

            teacher_run = teacher_of(run, training)
            if teacher_run:
                split = with_more(split, more)
            teacher = out / teacher_run.name / "best.pt" if teacher_run else None
            best = train(training, split, folder, cache, after_epoch, encoder, teacher)
        epochs = logged_epochs(run, out)
        about |= {
            "seconds": sum(epoch.seconds for epoch in epochs),
            "epochs": epochs[-1].of,
            "epoch": checkpoint.load(best)["epoch"],
            "parameters": sum(p.numel() for p in EmotionNetwork(training.network).parameters()),
            "operations": operations(training.network, input_sizes(training.inputs).longest),
            "config": asdict(training),
        }
        predictions = predict(run, training, best, split, split.test, cache, conditions, encoder)
    predictions = replace(predictions, about={**predictions.about, **about})
    predictions.save(folder)
    (folder / "last.pt").unlink(missing_ok=True)
    if run.held_out or (run.fold != 0 and run.system not in config.keep):
        (folder / "best.pt").unlink(missing_ok=True)
    return predictions
