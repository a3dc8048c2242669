from collections import Counter

from model.labels import EMOTIONS
from training.alerts.matching import MatchedAlerts, match_alerts
from training.alerts.simulated_calls import Episode

ANGER, HAPPINESS, SADNESS, NEUTRAL = EMOTIONS
EPISODES = (
    Episode(ANGER, 20.0, 26.0, speech_s=5.0),
    Episode(HAPPINESS, 50.0, 58.0, speech_s=7.0),
    Episode(ANGER, 80.0, 83.0, speech_s=2.5),
    Episode(SADNESS, 110.0, 118.0, speech_s=6.0),
    Episode(ANGER, 140.0, 144.0, speech_s=4.0),
)


def test_an_alert_from_onset_until_a_second_after_the_end_catches_the_episode() -> None:
    for at_s in (20.0, 24.5, 27.0):
        matched = match_alerts(EPISODES, ANGER, [at_s])
        assert matched == MatchedAlerts(2, (at_s - 20.0,), 1, 0, 1, Counter())
    for at_s in (19.9, 27.1):
        assert match_alerts(EPISODES, ANGER, [at_s]) == MatchedAlerts(
            2, (), 1, 0, 1, Counter({NEUTRAL: 1})
        )


def test_a_second_alert_in_an_episode_is_neither_false_nor_caught_again() -> None:
    matched = match_alerts(EPISODES, ANGER, [23.0, 25.0, 142.0])
    assert matched == MatchedAlerts(2, (3.0, 2.0), 1, 0, 3, Counter())


def test_short_episodes_are_counted_separately() -> None:
    assert match_alerts(EPISODES, ANGER, [82.0]) == MatchedAlerts(2, (), 1, 1, 1, Counter())


def test_a_false_alert_is_counted_by_the_caller_s_emotion_at_that_time() -> None:
    matched = match_alerts(EPISODES, ANGER, [5.0, 55.0, 56.0, 112.0])
    assert matched.false == {NEUTRAL: 1, HAPPINESS: 2, SADNESS: 1}
    assert match_alerts(EPISODES, HAPPINESS, [55.0]) == MatchedAlerts(1, (5.0,), 0, 0, 1, Counter())
