"""Alerts of one call matched with the episodes that it contains."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.labels import Emotion
from training.alerts.simulated_calls import EPISODE_S, Episode

LATE_S = 1.0  # an alert that fires at most so long after an episode's end still belongs to it


@dataclass(frozen=True, slots=True)
class MatchedAlerts:
    """The alerts of one emotion in one call, by whether they belong to an episode."""

    episodes: int  # with EPISODE_S of speech or more
    delays_s: tuple[float, ...]  # from onset to the first alert, one per caught episode
    short_episodes: int
    short_caught: int
    alerts: int
    false: Counter[Emotion]  # by the caller's emotion at that time


def match_alerts(
    episodes: Iterable[Episode], emotion: Emotion, fired_s: Sequence[float]
) -> MatchedAlerts:
    """Matches alerts of `emotion`, fired at `fired_s` seconds of the call, with its episodes.

    An alert belongs to an episode if it fires between the onset and LATE_S after the end.
    """
    own: list[Episode] = []
    others: list[Episode] = []
    for episode in episodes:
        (own if episode.emotion is emotion else others).append(episode)
    delays_s: dict[Episode, float] = {}
    false: Counter[Emotion] = Counter()
    for at_s in fired_s:
        if caught := _episode_at(own, at_s):
            delays_s.setdefault(caught, at_s - caught.onset_s)
        else:
            other = _episode_at(others, at_s)
            false[other.emotion if other else Emotion.NEUTRAL] += 1
    long = [episode for episode in own if episode.speech_s >= EPISODE_S]
    return MatchedAlerts(
        episodes=len(long),
        delays_s=tuple(delays_s[episode] for episode in long if episode in delays_s),
        short_episodes=len(own) - len(long),
        short_caught=sum(episode not in long for episode in delays_s),
        alerts=len(fired_s),
        false=false,
    )


def _episode_at(episodes: Iterable[Episode], at_s: float) -> Episode | None:
    found = (e for e in episodes if e.onset_s <= at_s <= e.end_s + LATE_S)
    return next(found, None)
