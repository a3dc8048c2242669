from service.cli.replay_output import summary_table
from service.replay.summary import ReplaySummary
from service.telephony.shared.client import Feedback
from tests.service.cli.command import printed


def test_a_summary_shows_what_came_and_how_late() -> None:
    summary = ReplaySummary(calls=3, played_s=12.0, readings=4, behind_s=0.0042)
    summary.late_s.extend([0.1, 0.2, 0.3, 0.4])
    summary.fired.update({"anger": 2, "happiness": 0})
    summary.add_error("overloaded", "try [again] later")
    summary.add_error("overloaded", "another reason")
    text = printed(summary_table(summary))
    for shown in ("250 ms", "397 ms", "anger 2", "2, the first: try [again] later", "4 ms"):
        assert shown in text
    assert "happiness" not in text
    assert "none" in printed(summary_table(ReplaySummary()))


def test_a_summary_of_a_bridge_shows_what_it_does_not_get() -> None:
    alerts, nothing = (
        printed(summary_table(ReplaySummary(feedback=feedback)))
        for feedback in (Feedback.ALERTS, Feedback.NOTHING)
    )
    assert "this bridge gets none; see the dashboard" in alerts
    assert "alerts fired" in alerts
    assert "alerts fired" not in nothing
    assert "lateness" not in alerts + nothing
