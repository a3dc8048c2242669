"""What a policy file says, and how a wrong one is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import Emotion
from service.alerts.policy import AlertRule
from service.alerts.policy_file import Policy, PolicyError, parse_policy, version_of

ANGER = AlertRule(Emotion.ANGER, 0.7, 0.5, hold_s=0.0, release_s=4.0, smooth_s=0.75)
HAPPINESS = AlertRule(Emotion.HAPPINESS, 0.9, 0.8, hold_s=0.0, release_s=4.0, smooth_s=0.75)

EXAMPLE = """
[anger]
fire_at = 0.8
clear_at = 0.6
[queues.billing.anger]
hold_s = 3
[queues.billing.happiness]
fire_at = 0.95
clear_at = 0.9
release_s = 1.5
[[mutes]]
queue = "training"
until = 2026-12-24T18:00:00+01:00
[[mutes]]
queue = "training"
emotion = "happiness"
until = 2026-12-25T18:00:00Z
"""


def test_a_queues_keys_come_on_top_of_those_for_all_and_those_on_top_of_the_settings() -> None:
    policy = parse_policy(EXAMPLE, "policy.toml")
    anger, happiness = policy.rules((ANGER, HAPPINESS), "billing")
    assert (anger.fire_at, anger.clear_at, anger.hold_s, anger.release_s) == (0.8, 0.6, 3.0, 4.0)
    assert (happiness.fire_at, happiness.release_s) == (0.95, 1.5)
    for queue in ("sales", None, ""):
        anger, happiness = policy.rules((ANGER, HAPPINESS), queue)
        assert (anger.fire_at, anger.hold_s) == (0.8, 0.0)
        assert happiness == HAPPINESS


def test_a_mute_is_of_its_queue_and_emotion_until_its_end() -> None:
    policy = parse_policy(EXAMPLE, "policy.toml")
    christmas_eve, day_s = 1_798_131_600.0, 86_400.0
    assert policy.muted_until("training", Emotion.ANGER, 0) == christmas_eve
    assert policy.muted_until("training", Emotion.HAPPINESS, 0) == christmas_eve + day_s + 3600
    assert policy.muted_until("training", Emotion.ANGER, christmas_eve) is None
    assert policy.muted_until("billing", Emotion.ANGER, 0) is None
    assert policy.muted_until(None, Emotion.ANGER, 0) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "p.toml: got nothing, expected at least one key"),
        ("[anger", "p.toml: got no TOML (Expected ']' at the end of a table declaration"),
        ("[anger]\nfire_at = 2\nclear_at=0", "p.toml: anger.fire_at: got 2, expected less than or"),
        ("[anger]\nfire_at = 'x'", "p.toml: anger.fire_at: got 'x', expected a valid number"),
        ("[anger]\nfire_at = 0.5", "p.toml: anger: got one of fire_at and clear_at, expected both"),
        (
            "[queues.billing.anger]\nfire_at = 0.5\nclear_at = 0.6",
            "p.toml: queues.billing.anger: got clear_at 0.6 and fire_at 0.5, expected clear_at to",
        ),
        ("[anger]\nhold = 2", "p.toml: anger.hold: got an unknown key, expected one of those in"),
        ("[sadness]\nhold_s = 2", "p.toml: sadness: got an unknown key"),
        ("[anger]\nhold_s = nan", "p.toml: anger.hold_s: got nan, expected a finite number"),
        ("[[mutes]]\nqueue = 'q'", "p.toml: mutes.0.until: got nothing, expected a value"),
        (
            "[[mutes]]\nuntil = 2026-12-24T18:00:00Z",
            "p.toml: mutes.0: got neither queue nor emotion, expected at least one of them",
        ),
        (
            "[[mutes]]\nqueue = 'q'\nuntil = 2026-12-24T18:00:00",
            "p.toml: mutes.0.until: got datetime.datetime(2026, 12, 24, 18, 0), expected",
        ),
        ("x" * 1_000_001, "p.toml: got more than 1000000 characters"),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_what_was_expected(
    text: str, sentence: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(text, "p.toml")
    assert str(refused.value).startswith(sentence)


def test_every_problem_is_told() -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy("[anger]\nhold_s = -1\n[happiness]\nhold_s = -2", "p.toml")
    assert len(refused.value.problems) == 2


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_a_sentence(text: str) -> None:
    with contextlib.suppress(PolicyError):
        assert isinstance(parse_policy(text, "p.toml"), Policy)


def test_versions_of_equal_texts_have_equal_names() -> None:
    assert version_of(EXAMPLE) == version_of(EXAMPLE) != version_of(EXAMPLE + " ")
