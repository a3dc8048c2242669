"""Defines the command `kanjo evaluate-alerts`, which counts alerts on simulated calls."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import typer

from service.cli.console import INTERRUPTED, fail, out
from service.cli.dismissals import evaluate_dismissals
from service.cli.environment import settings_from_environment
from service.cli.options import ModelFile, OptionalCorpora
from service.cli.training_extra import needs_training


def evaluate_alerts(
    corpora: OptionalCorpora = None,
    model: ModelFile = None,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder of the page, its picture and its figures.")
    ] = Path("runs/alerts"),
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            help="alerts.json of another evaluation, whose curves the picture shows too; "
            "may be repeated.",
        ),
    ] = None,
    false_per_hour: Annotated[
        float, typer.Option(min=0, help="Most false alerts of each emotion in an hour of calls.")
    ] = 2.0,
    minutes: Annotated[float, typer.Option(min=0.5, help="Length of a call, in minutes.")] = 3.0,
    calls: Annotated[int, typer.Option(min=1, help="Calls of each speaker.")] = 4,
    sounds: Annotated[
        bool, typer.Option("--sounds", help="Noise and music on hold in every call as well.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same calls.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    write: Annotated[
        bool, typer.Option("--write", help="Write the recommended thresholds into the model.")
    ] = False,
    from_redis: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Instead: what other thresholds would have done to the alerts that people took "
            "or dismissed, as Redis has them.",
        ),
    ] = None,
) -> None:
    """Count caught, late and false alerts on simulated calls of held-out speakers.

    The calls are made of speakers that the model was not trained on, and run through the service's
    own gate, windows, network and alert policy (with its settings KANJO_FIRST_S, KANJO_HOP_S,
    KANJO_HOLD_S, KANJO_RELEASE_S and KANJO_SMOOTH_S). Thresholds are chosen on validation speakers
    and tried once on test speakers. An interrupted evaluation goes on when the command is given
    again (needs the extra `training`).

    With --from-redis no call is simulated: recorded readings are run through the alert policy again
    with other thresholds, and compared with what people made of the alerts.

    Example: kanjo evaluate-alerts --model mine.pt --out runs/alerts --write
    """
    if from_redis is not None:
        evaluate_dismissals(from_redis)
        return
    if not corpora:
        fail("got neither --corpora nor --from-redis, expected one of them", code=2)
    with needs_training():
        from model import artifact
        from model.artifact import ArtifactError
        from model.labels import ALERTED_EMOTIONS
        from service.replay.simulation import CallSimulator
        from service.scoring.torch_scorer import NoSuchDevice
        from training.alerts import page as alerts_page
        from training.alerts.picture import BESIDE, OtherEvaluation
        from training.alerts.simulated_calls import CallsConfig, CallsError
        from training.alerts.thresholds import TradeoffConfig, TradeoffError, evaluate
        from training.data.manifest import ManifestError, read_corpora
        from training.data.recordings import RecordingError
    settings = settings_from_environment(model=model)
    path = settings.model
    _check_writable(out_folder)
    if write:
        _check_writable(path.parent)
    if beside and len(beside) > len(BESIDE):
        fail(f"got {len(beside)} evaluations --beside, expected at most {len(BESIDE)}", code=2)
    try:
        others = [OtherEvaluation.read(path) for path in beside or ()]
        utterances = read_corpora(corpora)
        simulator = CallSimulator(
            path,
            out_folder / "readings",
            threads=threads,
            first_s=settings.first_s,
            hop_s=settings.hop_s,
            release_s=settings.release_s,
        )
        tradeoff = evaluate(
            utterances,
            simulator,
            TradeoffConfig(
                hold_s=settings.hold_s,
                smooth_s=settings.smooth_s,
                calls=CallsConfig(minutes, calls, sounds=sounds, seed=seed),
                false_per_hour=dict.fromkeys(ALERTED_EMOTIONS, false_per_hour),
            ),
        )
        page = alerts_page.write(tradeoff, out_folder, others)
        if write:
            meta = replace(
                simulator.meta,
                thresholds=simulator.meta.thresholds | tradeoff.thresholds,
                training=simulator.meta.training | {"alerts": tradeoff.provenance},
            )
            artifact.rewrite(path, meta)
    except (
        ArtifactError,
        CallsError,
        ManifestError,
        NoSuchDevice,
        RecordingError,
        TradeoffError,
    ) as error:
        fail(error)
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on where it was", INTERRUPTED)
    simulator.clear_cache()
    for emotion in ALERTED_EMOTIONS:
        at = tradeoff.thresholds[emotion]
        out.print(f"{emotion}: fires at {at.fire_at:.3f}, clears below {at.clear_at:.3f}")
    out.print(f"page: {page}", markup=False)


def _check_writable(folder: Path) -> None:
    """Makes a folder and a file in it, which is removed again, before hours are spent on results.

    Raises:
        OSError: that is not possible.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        pass
