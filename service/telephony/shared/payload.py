"""The JSON objects in which bridges send readings, alerts and summaries to clients.

Seconds are rounded to milliseconds, probabilities to four decimals.
"""

from typing import Any

from service.events import CallSummary, Reading, Transition


def reading_payload(reading: Reading) -> dict[str, Any]:
    """Returns a reading without the id of its call."""
    return {
        "number": reading.number,
        "track": reading.track,
        "start_s": _seconds(reading.start_s),
        "end_s": _seconds(reading.end_s),
        "heard_s": _seconds(reading.heard_s),
        "probabilities": {
            emotion: _probability(probability)
            for emotion, probability in reading.probabilities.items()
        },
    }


def alert_payload(transition: Transition) -> dict[str, Any]:
    """Returns one transition of an alert without the id of its call."""
    return {
        "alert_id": transition.alert_id,
        "number": transition.number,
        "emotion": transition.emotion,
        "state": transition.state,
        "track": transition.track,
        "since_s": _seconds(transition.since_s),
        "at_s": _seconds(transition.at_s),
        "probability": _probability(transition.probability),
        "peak": _probability(transition.peak),
        "text": transition.text,
    }


def summary_payload(summary: CallSummary) -> dict[str, Any]:
    """Returns the totals of a call that ended."""
    return {
        "duration_s": _seconds(summary.duration_s),
        "speech_s": _seconds(summary.speech_s),
        "readings": summary.readings,
        "alerts": summary.alerts,
        "dropped": summary.dropped,
    }


def _seconds(value: float) -> float:
    return round(value, 3)


def _probability(value: float) -> float:
    # Scores arrive as numpy scalars, which json does not encode.
    return round(float(value), 4)
