import json

import numpy as np

from model.labels import Emotion
from service.events import AlertState, CallSummary, Reading, Track, Transition
from service.telephony.shared.payload import alert_payload, reading_payload, summary_payload


def test_a_readings_payload_has_rounded_times_and_probabilities() -> None:
    probabilities = {
        Emotion.ANGER: np.float32(0.83333),
        Emotion.HAPPINESS: np.float32(0.1),
        Emotion.NEUTRAL: np.float32(0.06667),
        Emotion.SADNESS: np.float32(0.0),
    }
    reading = Reading("call-1", 3, Track.CALLER, 1.00049, 2.50051, 1.5, probabilities)  # type: ignore[arg-type]

    payload = reading_payload(reading)

    assert json.loads(json.dumps(payload, allow_nan=False)) == {
        "number": 3,
        "track": "caller",
        "start_s": 1.0,
        "end_s": 2.501,
        "heard_s": 1.5,
        "probabilities": {"anger": 0.8333, "happiness": 0.1, "neutral": 0.0667, "sadness": 0.0},
    }


def test_an_alerts_payload_has_every_field_of_the_transition_but_the_calls_id() -> None:
    transition = Transition(
        "alert-1",
        2,
        "call-1",
        Track.AGENT,
        Emotion.ANGER,
        AlertState.FIRING,
        4.00049,
        9.5,
        np.float32(0.83333),  # type: ignore[arg-type]
        np.float32(0.9),  # type: ignore[arg-type]
    )

    payload = alert_payload(transition)

    assert json.loads(json.dumps(payload, allow_nan=False)) == {
        "alert_id": "alert-1",
        "number": 2,
        "emotion": "anger",
        "state": "firing",
        "track": "agent",
        "since_s": 4.0,
        "at_s": 9.5,
        "probability": 0.8333,
        "peak": 0.9,
        "text": "sounds angry (0.83)",
    }


def test_a_summarys_payload_has_all_its_totals() -> None:
    assert summary_payload(CallSummary(61.23456, 20.5, 18, 2, 1)) == {
        "duration_s": 61.235,
        "speech_s": 20.5,
        "readings": 18,
        "alerts": 2,
        "dropped": 1,
    }
