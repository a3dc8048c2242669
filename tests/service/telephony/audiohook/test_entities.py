from service.events import AlertState, Track
from service.telephony.audiohook.entities import MAX_ENTITIES
from tests.service.telephony.audiohook.sessions import BOTH, Session, entities, reading, transition


def test_an_alert_is_sent_at_once_with_its_text() -> None:
    session = Session().live()
    session.bridge.alert(transition())
    ((_, parameters),) = session.replies()
    assert parameters == {
        "entities": [
            {
                "type": "kanjo.alert",
                "data": {
                    "alert_id": "a",
                    "number": 2,
                    "emotion": "anger",
                    "state": "firing",
                    "track": "caller",
                    "since_s": 1.0,
                    "at_s": 2.5,
                    "probability": 0.8312,
                    "peak": 0.9,
                    "text": "sounds angry (0.83)",
                },
            }
        ]
    }


def test_only_firing_and_resolved_alerts_are_sent() -> None:
    session = Session().live()
    for number, state in enumerate(AlertState, 1):
        session.bridge.alert(transition(state, number))
    session.bridge.receive(bytes(8000))
    states = [e["data"]["state"] for _, p in session.replies() for e in p["entities"]]
    assert states == ["firing", "resolved"]


def test_events_are_a_second_of_call_time_apart_and_come_with_a_pong_too() -> None:
    session = Session().live()
    for _ in range(3):
        session.bridge.alert(transition())
    assert len(entities(session.replies())) == 1
    session.bridge.receive(bytes(7999))
    assert session.replies() == []
    session.bridge.receive(bytes(1))
    assert len(entities(session.replies())) == 2
    session.bridge.alert(transition())
    assert session.replies() == []
    session.send("ping")
    assert [kind for kind, _ in session.replies()] == ["pong", "event"]


def test_queued_entities_are_bounded_and_the_oldest_are_dropped() -> None:
    session = Session().live()
    for number in range(MAX_ENTITIES + 4):
        session.bridge.alert(transition(number=number))
    session.bridge.receive(bytes(8000))
    _, (_, parameters) = session.replies()
    assert [e["data"]["number"] for e in parameters["entities"]] == [*range(4, MAX_ENTITIES + 4)]
    assert session.bridge.message_errors == {"entities_dropped": 3}


def test_summaries_come_once_in_summary_every_s() -> None:
    session = Session(BOTH, summary_every_s=10.0).live()
    for second in range(1, 36):
        session.bridge.receive(bytes(16_000))
        session.bridge.reading(reading(float(second)))
        session.bridge.reading(reading(float(second), Track.AGENT))
    summaries = [e["data"] for _, p in session.replies() for e in p["entities"]]
    assert [summary["at_s"] for summary in summaries] == [10.0, 20.0, 30.0]
    assert [summary["readings"] for summary in summaries] == [19, 39, 59]
    assert set(summaries[-1]["latest"]) == {"caller", "agent"}
    assert summaries[-1]["latest"]["caller"] == {
        "start_s": 29.0,
        "end_s": 30.0,
        "probabilities": dict.fromkeys(("anger", "happiness", "sadness", "neutral"), 0.25),
    }
