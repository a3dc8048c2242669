"""What `kanjo evaluate-alerts --from-redis` prints: thresholds against what people dismissed."""

import asyncio
from functools import partial

from service.cli.console import fail, out
from service.cli.environment import settings_from_environment
from service.cli.training_extra import needs_training

NOTE = (
    "An alert that somebody took and did not dismiss counts as real; one dismissed as not angry or "
    "not the caller as false. Nobody has judged what raised no alert: lower thresholds than those "
    "in use are shown with how many alerts they add, not with how many of these are real."
)


def evaluate_dismissals(url: str) -> None:
    """Prints what each threshold would have done to the alerts that people judged."""
    with needs_training():
        from training.alerts.dismissals import JudgedAlert, JudgedCall, outcomes

    from model.labels import ALERTED_EMOTIONS
    from service.errors import KanjoError
    from service.replay.judged import fired_spans, is_real, judged_calls

    settings = settings_from_environment()
    try:
        recorded, without_readings = asyncio.run(judged_calls(url))
    except KanjoError as error:
        fail(error)
    calls = [
        JudgedCall(
            call.readings,
            [
                JudgedAlert(
                    alert.emotion,
                    alert.since_s,
                    call.readings[-1].end_s if alert.resolved_at_s is None else alert.resolved_at_s,
                    is_real(alert),
                )
                for alert in call.alerts
            ],
        )
        for call in recorded
    ]
    replay = partial(
        fired_spans,
        hold_s=settings.hold_s,
        release_s=settings.release_s,
        smooth_s=settings.smooth_s,
    )
    out.print(f"{len(calls)} calls with judged alerts; {without_readings} more without readings")
    if not calls:
        return
    for emotion in ALERTED_EMOTIONS:
        rows = outcomes(calls, emotion, replay)
        out.print(f"{emotion}: {rows[0].real} real, {rows[0].false} false")
        for row in rows:
            out.print(
                f"  fires at {row.thresholds.fire_at:.2f}: "
                f"real kept {row.real_kept}, false left {row.false_left}, "
                f"not judged {row.unjudged}"
            )
    out.print(NOTE)
