import math
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import Emotion
from service.alerts.policy import AlertPolicy, AlertRule
from service.events import AlertState, Reading, Track, Transition

ANGER, HAPPINESS = Emotion.ANGER, Emotion.HAPPINESS
PENDING, FIRING = AlertState.PENDING, AlertState.FIRING
RESOLVED, LAPSED = AlertState.RESOLVED, AlertState.LAPSED
CALLER, AGENT = Track.CALLER, Track.AGENT


def rule(
    emotion: Emotion = ANGER,
    fire_at: float = 0.6,
    clear_at: float = 0.4,
    hold_s: float = 2.0,
    release_s: float = 3.0,
    smooth_s: float = 0.0,
) -> AlertRule:
    return AlertRule(emotion, fire_at, clear_at, hold_s, release_s, smooth_s)


def policy(*rules: AlertRule) -> AlertPolicy:
    return AlertPolicy("s1", "call-1", rules or (rule(),))


def reading(
    end_s: float,
    anger: float,
    heard_s: float = 1.0,
    *,
    happiness: float = 0.0,
    track: Track = CALLER,
    start_s: float | None = None,
    call_id: str = "call-1",
) -> Reading:
    return Reading(
        call_id=call_id,
        number=1,
        track=track,
        start_s=max(0.0, end_s - 7.5) if start_s is None else start_s,
        end_s=end_s,
        heard_s=heard_s,
        probabilities={
            ANGER: anger,
            HAPPINESS: happiness,
            Emotion.SADNESS: 0.0,
            Emotion.NEUTRAL: 1 - anger - happiness,
        },
    )


def states(transitions: list[Transition]) -> list[tuple[AlertState, float]]:
    return [(t.state, t.at_s) for t in transitions]


def fired(*rules: AlertRule) -> AlertPolicy:
    """A policy whose alert fires at 2 s."""
    alerts = policy(*rules)
    assert states(alerts.update(reading(2.0, 0.9, heard_s=2.0)))[-1] == (FIRING, 2.0)
    return alerts


def test_an_alert_is_pending_for_hold_s_of_speech_and_then_fires_once() -> None:
    alerts = policy()
    [pending] = alerts.update(reading(11.5, 0.7, heard_s=1.5))
    assert pending == Transition(
        alert_id="s1-caller-anger-1",
        number=1,
        call_id="call-1",
        track=CALLER,
        emotion=ANGER,
        state=PENDING,
        since_s=10.0,
        at_s=11.5,
        probability=0.7,
        peak=0.7,
        fire_at=alerts.rules[0].fire_at,
    )
    [firing] = alerts.update(reading(12.5, 0.9))
    assert (firing.state, firing.number, firing.since_s, firing.at_s) == (FIRING, 2, 10.0, 12.5)
    assert firing.peak == 0.9
    assert alerts.update(reading(13.5, 0.95)) == []
    assert alerts.update(reading(14.5, 0.8)) == []


def test_a_pending_alert_that_drops_below_its_threshold_lapses() -> None:
    alerts = policy()
    alerts.update(reading(1.5, 0.7))
    [lapsed] = alerts.update(reading(2.5, 0.59))
    assert (lapsed.state, lapsed.number, lapsed.peak) == (LAPSED, 2, 0.7)
    [again] = alerts.update(reading(3.5, 0.7))
    assert (again.alert_id, again.number, again.state) == ("s1-caller-anger-2", 1, PENDING)


def test_a_first_reading_longer_than_hold_s_is_pending_and_firing_in_order() -> None:
    got = policy().update(reading(7.5, 0.8, heard_s=7.5))
    assert states(got) == [(PENDING, 7.5), (FIRING, 7.5)]
    assert [t.number for t in got] == [1, 2]
    assert {t.since_s for t in got} == {0.0}


def test_the_threshold_itself_counts_as_reached() -> None:
    assert states(policy(rule(hold_s=1.0)).update(reading(1.5, 0.6))) == [
        (PENDING, 1.5),
        (FIRING, 1.5),
    ]


def test_short_stretches_of_speech_add_up_to_hold_s() -> None:
    alerts = policy(rule(hold_s=1.0))
    got = [t for n in range(1, 21) for t in alerts.update(reading(n / 10, 0.9, heard_s=0.1))]
    assert states(got) == [(PENDING, 0.1), (FIRING, 1.0)]


def test_silence_neither_fires_nor_lapses_nor_resolves_what_sounds_angry() -> None:
    pending = policy()
    pending.update(reading(1.5, 0.9))
    assert pending.advance(CALLER, 600.0) == []
    assert fired().advance(CALLER, 600.0) == []


def test_a_firing_alert_resolves_after_it_has_stayed_below_clear_at() -> None:
    alerts = fired()
    assert alerts.update(reading(3.0, 0.39)) == []
    assert alerts.update(reading(4.0, 0.2)) == []
    assert alerts.advance(CALLER, 5.9) == []
    [resolved] = alerts.advance(CALLER, 6.0)
    assert (resolved.state, resolved.at_s, resolved.peak) == (RESOLVED, 6.0, 0.9)
    assert resolved.probability == 0.2
    assert alerts.advance(CALLER, 60.0) == []


def test_going_back_to_clear_at_restarts_the_release() -> None:
    alerts = fired()
    alerts.update(reading(3.0, 0.1))
    assert alerts.update(reading(5.0, 0.4)) == []
    assert alerts.update(reading(6.0, 0.1)) == []
    assert alerts.advance(CALLER, 8.9) == []
    assert states(alerts.advance(CALLER, 9.0)) == [(RESOLVED, 9.0)]


def test_between_clear_at_and_fire_at_a_firing_alert_stays_one_alert() -> None:
    alerts = fired()
    assert [t for end in range(3, 60) for t in alerts.update(reading(end, 0.45))] == []
    assert alerts.update(reading(61.0, 0.9)) == []


def test_silence_before_a_reading_counts_for_the_release_without_advance() -> None:
    alerts = fired()
    alerts.update(reading(3.0, 0.1))
    got = alerts.update(reading(21.0, 0.9, heard_s=1.0))
    assert [(t.alert_id[-1], t.state, t.at_s) for t in got] == [
        ("1", RESOLVED, 20.0),
        ("2", PENDING, 21.0),
    ]


def test_the_end_of_the_call_resolves_what_fires_and_lapses_what_is_pending() -> None:
    alerts = policy(rule(), rule(HAPPINESS, hold_s=5.0))
    alerts.update(reading(2.0, 0.8, heard_s=2.0))
    alerts.update(reading(2.0, 0.0, happiness=0.9, track=AGENT))
    got = alerts.end(30.0)
    assert [(t.track, t.emotion, t.state, t.at_s) for t in got] == [
        (CALLER, ANGER, RESOLVED, 30.0),
        (AGENT, HAPPINESS, LAPSED, 30.0),
    ]
    assert alerts.end(31.0) == []
    assert alerts.update(reading(32.0, 0.99, heard_s=5.0)) == []
    assert alerts.advance(CALLER, 40.0) == []


def test_an_end_before_the_last_transition_does_not_go_back_in_time() -> None:
    assert states(fired().end(1.0)) == [(RESOLVED, 2.0)]


def test_tracks_and_emotions_do_not_affect_each_other() -> None:
    alerts = policy(rule(hold_s=1.0), rule(HAPPINESS, hold_s=1.0))
    got = alerts.update(reading(2.0, 0.9))
    got += alerts.update(reading(1.0, 0.0, happiness=0.9, track=AGENT))
    got += alerts.update(reading(3.0, 0.0, happiness=0.8))
    assert [t.alert_id for t in got if t.state is FIRING] == [
        "s1-caller-anger-1",
        "s1-agent-happiness-1",
        "s1-caller-happiness-1",
    ]


def test_the_average_is_over_speech_and_weighs_a_window_by_what_it_adds() -> None:
    alerts = policy(rule(smooth_s=2.0, fire_at=0.0, clear_at=0.0, hold_s=0.0))
    readings = [(3.0, 0.9, 3.0), (4.0, 0.1, 1.0), (104.5, 0.5, 0.5)]
    for end_s, anger, heard_s in readings:
        alerts.update(reading(end_s, anger, heard_s=heard_s))
    [resolved] = alerts.end(105.0)
    # Every piece of speech, by its age in speech: 1.5 s old at its newest end, 0.5 s old, 0 s old.
    weights = [
        math.exp(-1.5 / 2) - math.exp(-4.5 / 2),
        math.exp(-0.5 / 2) - math.exp(-1.5 / 2),
        1 - math.exp(-0.5 / 2),
    ]
    mean = sum(w * p for w, (_, p, _) in zip(weights, readings, strict=True)) / sum(weights)
    assert resolved.probability == pytest.approx(mean)


def test_a_short_first_reading_does_not_outweigh_the_longer_speech_after_it() -> None:
    alerts = policy(rule(smooth_s=4.0, fire_at=0.6))
    alerts.update(reading(0.3, 1.0, heard_s=0.3))
    [lapsed] = alerts.update(reading(2.3, 0.2, heard_s=2.0))
    assert lapsed.state is LAPSED
    assert lapsed.probability < 0.3


def test_a_window_counts_only_for_the_speech_inside_it() -> None:
    """If windows before it were dropped, `heard_s` is more than the window contains."""
    alerts = policy(rule(hold_s=8.0))
    got = alerts.update(reading(20.0, 0.9, heard_s=20.0, start_s=12.5))
    assert states(got) == [(PENDING, 20.0)]
    assert got[0].since_s == 12.5


def test_a_reading_that_adds_no_speech_changes_nothing() -> None:
    alerts = policy(rule(hold_s=0.0))
    assert alerts.update(reading(5.0, 0.9, heard_s=0.0)) == []
    assert states(alerts.update(reading(6.0, 0.1))) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fire_at": 0.4, "clear_at": 0.5}, "expected 0 <= clear_at <= fire_at <= 1"),
        ({"fire_at": 1.1}, "got fire_at 1.1"),
        ({"clear_at": -0.1}, "clear_at -0.1"),
        ({"fire_at": math.nan}, "fire_at nan"),
        ({"hold_s": -1.0}, "got hold_s -1.0, expected 0 or more seconds"),
        ({"release_s": math.inf}, "got release_s inf"),
        ({"smooth_s": math.nan}, "got smooth_s nan"),
    ],
)
def test_an_impossible_rule_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule(**wrong)  # type: ignore[arg-type]


def test_two_rules_for_one_emotion_are_refused() -> None:
    with pytest.raises(ValueError, match="got rules for anger, anger, expected one rule"):
        policy(rule(), rule(fire_at=0.9))


def test_impossible_readings_are_refused() -> None:
    alerts = policy()
    with pytest.raises(ValueError, match="of call 'other', expected one of 'call-1'"):
        alerts.update(reading(1.0, 0.5, call_id="other"))
    with pytest.raises(ValueError, match="expected start <= end and heard_s of 0 or more"):
        alerts.update(reading(1.0, 0.5, start_s=2.0))
    with pytest.raises(ValueError, match="got probabilities of nothing, expected anger"):
        alerts.update(Reading("call-1", 1, CALLER, 0.0, 1.0, 1.0, {}))
    alerts.update(reading(5.0, 0.5))
    with pytest.raises(ValueError, match=r"ends at 4.0 s, expected none before 5.0 s"):
        alerts.update(reading(4.0, 0.5))


# Properties that hold for any order of speech and silence.

seconds = st.floats(0.0, 10.0)
rules = st.builds(
    lambda emotion, levels, hold_s, release_s, smooth_s: AlertRule(
        emotion, max(levels), min(levels), hold_s, release_s, smooth_s
    ),
    st.sampled_from([ANGER, HAPPINESS]),
    st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    seconds,
    seconds,
    seconds,
)
events = st.lists(
    st.tuples(
        st.sampled_from(["update", "advance"]),
        st.sampled_from(list(Track)),
        st.floats(0.0, 5.0),  # time passed
        st.floats(0.0, 8.0),  # heard_s
        st.floats(0.0, 1.0),  # anger; half of the rest is happiness
    ),
    max_size=60,
)


def run(rules: list[AlertRule], events: list[tuple[str, Track, float, float, float]]):
    alerts = AlertPolicy("s", "call-1", rules)
    now_s = 0.0
    got: list[Transition] = []
    for method, track, passed_s, heard_s, anger in events:
        now_s += passed_s
        if method == "advance":
            got += alerts.advance(track, now_s)
        else:
            got += alerts.update(
                reading(now_s, anger, heard_s, happiness=(1 - anger) / 2, track=track)
            )
    return got, alerts.end(now_s), alerts


@given(st.lists(rules, min_size=1, max_size=2, unique_by=lambda r: r.emotion), events)
def test_every_alert_has_legal_transitions_and_ends(rules, events) -> None:
    before_end, at_end, alerts = run(rules, events)
    by_alert: dict[str, list[Transition]] = defaultdict(list)
    open_now: dict[tuple[Track, Emotion], str] = {}
    opened: dict[tuple[Track, Emotion], int] = defaultdict(int)
    for t in [*before_end, *at_end]:
        by_alert[t.alert_id].append(t)
        place = (t.track, t.emotion)
        if t.state is PENDING:
            assert place not in open_now
            opened[place] += 1
            open_now[place] = t.alert_id
            assert t.alert_id == f"s-{t.track}-{t.emotion}-{opened[place]}"
        else:
            assert open_now[place] == t.alert_id
        if t.state in (RESOLVED, LAPSED):
            del open_now[place]
    assert not open_now
    for transitions in by_alert.values():
        assert [t.state for t in transitions] in ([PENDING, FIRING, RESOLVED], [PENDING, LAPSED])
        assert [t.number for t in transitions] == list(range(1, len(transitions) + 1))
        assert len({t.since_s for t in transitions}) == 1
        for earlier, later in pairwise(transitions):
            assert earlier.at_s <= later.at_s
            assert earlier.peak <= later.peak
        assert all(t.probability <= t.peak for t in transitions)
        assert all(0 <= t.probability <= 1 + 1e-9 for t in transitions)
    assert alerts.end(math.inf) == []


@given(st.lists(rules, min_size=1, max_size=2, unique_by=lambda r: r.emotion), events)
def test_the_same_events_give_the_same_transitions(rules, events) -> None:
    assert run(rules, events)[:2] == run(rules, events)[:2]


def test_other_rules_are_followed_from_the_next_reading_on() -> None:
    alerts = policy(rule(fire_at=0.9, clear_at=0.8, hold_s=1))
    assert alerts.update(reading(1, 0.85)) == []
    alerts.use([rule(fire_at=0.8, clear_at=0.6, hold_s=1)])
    assert [t.state for t in alerts.update(reading(2, 0.85))] == [PENDING, FIRING]
    alerts.use([rule(fire_at=0.99, clear_at=0.95, release_s=1)])
    assert alerts.update(reading(3, 0.85)) == []
    assert [t.state for t in alerts.update(reading(4, 0.85))] == [RESOLVED]


def test_rules_for_other_emotions_are_refused() -> None:
    alerts = policy(rule())
    for others in ([], [rule(HAPPINESS)], [rule(), rule(HAPPINESS)], [rule(), rule()]):
        with pytest.raises(ValueError, match="got rules for"):
            alerts.use(others)


@given(st.lists(rules, min_size=1, max_size=2, unique_by=lambda r: r.emotion), events)
def test_the_same_rules_again_change_nothing(rules, events) -> None:
    once, again = AlertPolicy("s", "call-1", rules), AlertPolicy("s", "call-1", rules)
    now_s = 0.0
    for _, track, passed_s, heard_s, anger in events:
        now_s += passed_s
        it = reading(now_s, anger, heard_s, happiness=(1 - anger) / 2, track=track)
        again.use([*reversed(rules)])
        assert once.update(it) == again.update(it)
