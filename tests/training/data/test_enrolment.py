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


def utterance_of(
    emotion: Emotion, speaker: str = "s1", corpus: str = "stage", name: str = ""
) -> Utterance:
    return Utterance(Path(name), corpus, Style.ACTED, "xx", speaker, emotion, 1.0)


def one_voice(neutral: int, angry: int) -> list[Utterance]:
    return [utterance_of(Emotion.NEUTRAL)] * neutral + [utterance_of(Emotion.ANGER)] * angry


corpora = st.lists(
    st.builds(
        utterance_of, st.sampled_from(EMOTIONS), st.sampled_from("12"), st.sampled_from("ab")
    ),
    max_size=60,
)
seeds = st.integers(0, 2**32 - 1)


def same_voice(one: Utterance, other: Utterance) -> bool:
    return (one.corpus, one.speaker) == (other.corpus, other.speaker)


# ---- for tests --------------------------------------------------------------------------------


@given(corpora, seeds)
def test_a_caller_is_enrolled_with_up_to_four_other_neutral_utterances(
    utterances: list[Utterance], seed: int
) -> None:
    found = enrolments(utterances, "caller", seed)
    assert len(found) == len(utterances)
    for row, enrolment in enumerate(found):
        others = {
            other
            for other, utterance in enumerate(utterances)
            if other != row
            and same_voice(utterance, utterances[row])
            and utterance.emotion is Emotion.NEUTRAL
        }
        assert set(enrolment) <= others
        assert len(enrolment) == len(set(enrolment)) == min(CALM_UTTERANCES, len(others))
    assert CALM_UTTERANCES == 4


@given(corpora, seeds)
def test_a_speaker_is_enrolled_with_all_utterances(utterances: list[Utterance], seed: int) -> None:
    for utterance, enrolment in zip(
        utterances, enrolments(utterances, "speaker", seed), strict=True
    ):
        assert enrolment == [
            row for row, other in enumerate(utterances) if same_voice(other, utterance)
        ]


@given(corpora, seeds)
def test_an_utterance_alone_has_no_enrolment(utterances: list[Utterance], seed: int) -> None:
    assert enrolments(utterances, "utterance", seed) == [[]] * len(utterances)


def test_a_caller_s_enrolment_is_drawn_by_the_seed() -> None:
    utterances = one_voice(neutral=20, angry=20)
    one = enrolments(utterances, "caller", 1)
    assert enrolments(utterances, "caller", 1) == one
    assert enrolments(utterances, "caller", 2) != one
    assert len({tuple(enrolment) for enrolment in one}) > 30
    assert {row for enrolment in one for row in enrolment} == set(range(20))


@pytest.mark.parametrize("kind", ["caller", "speaker"])
def test_without_speakers_a_recording_is_a_voice_and_else_each_utterance(
    kind: EnrolmentKind,
) -> None:
    calm = [utterance_of(Emotion.NEUTRAL, "", name=f"{number}.flac") for number in range(6)]
    of_calls = [replace(u, recording=f"call {row % 2}") for row, u in enumerate(calm)]
    with_itself = kind == "speaker"
    for row, enrolment in enumerate(enrolments(of_calls, kind, 0)):
        expected = {
            other for other in range(6) if other % 2 == row % 2 and (with_itself or other != row)
        }
        assert set(enrolment) == expected
    assert enrolments(calm, kind, 0) == [[row] if with_itself else [] for row in range(6)]


# ---- for training -----------------------------------------------------------------------------


@given(corpora, seeds)
def test_a_training_enrolment_is_some_of_the_voice_without_the_utterance_or_all_of_it(
    utterances: list[Utterance], seed: int
) -> None:
    drawn_from = TrainingEnrolments(utterances)
    rng = np.random.default_rng(seed)
    for row, utterance in enumerate(utterances):
        voice = [other for other, u in enumerate(utterances) if same_voice(u, utterance)]
        for _ in range(3):
            enrolment = drawn_from.draw(row, rng)
            if enrolment != voice:
                assert row not in enrolment
                assert set(enrolment) <= set(voice)
                assert len(enrolment) <= BASELINE_UTTERANCES


def test_training_enrolments_are_as_varied_as_calls_are() -> None:
    utterances = one_voice(neutral=10, angry=30)
    drawn_from, rng = TrainingEnrolments(utterances), np.random.default_rng(0)
    drawn = [drawn_from.draw(35, rng) for _ in range(4000)]
    some = [enrolment for enrolment in drawn if len(enrolment) <= BASELINE_UTTERANCES]
    assert 1 - len(some) / len(drawn) == pytest.approx(WHOLE_SHARE, abs=0.02)
    lengths = Counter(map(len, some))
    assert set(lengths) == set(range(BASELINE_UTTERANCES + 1))
    assert min(lengths.values()) > len(some) / (BASELINE_UTTERANCES + 1) / 2
    neutral = np.mean([row < 10 for enrolment in some for row in enrolment])
    # The others are drawn from everything but the utterance itself: 10 of 39 are neutral there.
    assert neutral == pytest.approx(NEUTRAL_SHARE + (1 - NEUTRAL_SHARE) * 10 / 39, abs=0.02)
    assert len({tuple(enrolment) for enrolment in some}) > len(some) / 2


def test_a_voice_that_is_never_neutral_has_enrolments_too() -> None:
    drawn_from, rng = TrainingEnrolments(one_voice(neutral=0, angry=12)), np.random.default_rng(0)
    drawn = [
        enrolment
        for enrolment in (drawn_from.draw(0, rng) for _ in range(200))
        if len(enrolment) < 12
    ]
    assert {row for enrolment in drawn for row in enrolment} == set(range(1, 12))


def test_training_enrolments_are_drawn_by_the_generator() -> None:
    utterances = one_voice(neutral=10, angry=10)

    def drawn(seed: int) -> list[list[int]]:
        drawn_from, rng = TrainingEnrolments(utterances), np.random.default_rng(seed)
        return [drawn_from.draw(row, rng) for row in range(20)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)
