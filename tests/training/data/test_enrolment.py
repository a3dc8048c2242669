from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import EMOTIONS, Emotion, Style
from model.speaker_baseline import BASELINE_UTTERANCES
from training.data.enrolment import (
    CALM_UTTERANCES,
    NEUTRAL_SHARE,
    WHOLE_SHARE,
    EnrolmentKind,
    TrainingEnrolments,
    enrolments,
)
from training.data.manifest import Utterance


def said(emotion: Emotion, speaker: str = "s1", corpus: str = "stage", name: str = "") -> Utterance:
    return Utterance(Path(name), corpus, Style.ACTED, "xx", speaker, emotion, 1.0)


def a_voice(neutral: int, angry: int) -> list[Utterance]:
    return [said(Emotion.NEUTRAL)] * neutral + [said(Emotion.ANGER)] * angry


corpora = st.lists(
    st.builds(said, st.sampled_from(EMOTIONS), st.sampled_from("12"), st.sampled_from("ab")),
    max_size=60,
)
seeds = st.integers(0, 2**32 - 1)


def same_voice(one: Utterance, other: Utterance) -> bool:
    return (one.corpus, one.speaker) == (other.corpus, other.speaker)


# ---- of tests ------------------------------------------------------------------------------------


@given(corpora, seeds)
def test_a_caller_is_known_by_up_to_four_other_neutral_utterances(
    utterances: list[Utterance], seed: int
) -> None:
    found = enrolments(utterances, "caller", seed)
    assert len(found) == len(utterances)
    for row, past in enumerate(found):
        others = {
            other
            for other, utterance in enumerate(utterances)
            if other != row
            and same_voice(utterance, utterances[row])
            and utterance.emotion is Emotion.NEUTRAL
        }
        assert set(past) <= others
        assert len(past) == len(set(past)) == min(CALM_UTTERANCES, len(others))
    assert CALM_UTTERANCES == 4


@given(corpora, seeds)
def test_a_speaker_is_known_by_everything_ever_said(utterances: list[Utterance], seed: int) -> None:
    for utterance, past in zip(utterances, enrolments(utterances, "speaker", seed), strict=True):
        assert past == [row for row, other in enumerate(utterances) if same_voice(other, utterance)]


@given(corpora, seeds)
def test_an_utterance_alone_knows_nothing(utterances: list[Utterance], seed: int) -> None:
    assert enrolments(utterances, "utterance", seed) == [[]] * len(utterances)


def test_what_a_caller_said_is_drawn_by_the_seed() -> None:
    utterances = a_voice(neutral=20, angry=20)
    one = enrolments(utterances, "caller", 1)
    assert enrolments(utterances, "caller", 1) == one
    assert enrolments(utterances, "caller", 2) != one
    assert len({tuple(past) for past in one}) > 30
    assert {row for past in one for row in past} == set(range(20))


@pytest.mark.parametrize("known", ["caller", "speaker"])
def test_without_speakers_a_recording_is_a_voice_and_else_each_utterance(
    known: EnrolmentKind,
) -> None:
    calm = [said(Emotion.NEUTRAL, "", name=f"{number}.flac") for number in range(6)]
    of_calls = [replace(u, recording=f"call {row % 2}") for row, u in enumerate(calm)]
    alone = known == "speaker"
    for row, past in enumerate(enrolments(of_calls, known, 0)):
        expected = {other for other in range(6) if other % 2 == row % 2 and (alone or other != row)}
        assert set(past) == expected
    assert enrolments(calm, known, 0) == [[row] if alone else [] for row in range(6)]


# ---- of training ---------------------------------------------------------------------------------


@given(corpora, seeds)
def test_in_training_a_past_is_some_of_the_voice_without_the_utterance_or_all_of_it(
    utterances: list[Utterance], seed: int
) -> None:
    drawn_from = TrainingEnrolments(utterances)
    rng = np.random.default_rng(seed)
    for row, utterance in enumerate(utterances):
        voice = [other for other, u in enumerate(utterances) if same_voice(u, utterance)]
        for _ in range(3):
            past = drawn_from.draw(row, rng)
            if past != voice:
                assert row not in past
                assert set(past) <= set(voice)
                assert len(past) <= BASELINE_UTTERANCES


def test_pasts_of_training_are_as_varied_as_calls_are() -> None:
    utterances = a_voice(neutral=10, angry=30)
    drawn_from, rng = TrainingEnrolments(utterances), np.random.default_rng(0)
    drawn = [drawn_from.draw(35, rng) for _ in range(4000)]
    some = [past for past in drawn if len(past) <= BASELINE_UTTERANCES]
    assert 1 - len(some) / len(drawn) == pytest.approx(WHOLE_SHARE, abs=0.02)
    lengths = Counter(map(len, some))
    assert set(lengths) == set(range(BASELINE_UTTERANCES + 1))
    assert min(lengths.values()) > len(some) / (BASELINE_UTTERANCES + 1) / 2
    neutral = np.mean([row < 10 for past in some for row in past])
    # The others are drawn from everything but the utterance itself: 10 of 39 are neutral there.
    assert neutral == pytest.approx(NEUTRAL_SHARE + (1 - NEUTRAL_SHARE) * 10 / 39, abs=0.02)
    assert len({tuple(past) for past in some}) > len(some) / 2


def test_a_voice_that_is_never_neutral_has_a_past_too() -> None:
    drawn_from, rng = TrainingEnrolments(a_voice(neutral=0, angry=12)), np.random.default_rng(0)
    drawn = [past for past in (drawn_from.draw(0, rng) for _ in range(200)) if len(past) < 12]
    assert {row for past in drawn for row in past} == set(range(1, 12))


def test_pasts_of_training_are_drawn_by_the_generator() -> None:
    utterances = a_voice(neutral=10, angry=10)

    def drawn(seed: int) -> list[list[int]]:
        drawn_from, rng = TrainingEnrolments(utterances), np.random.default_rng(seed)
        return [drawn_from.draw(row, rng) for row in range(20)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)
