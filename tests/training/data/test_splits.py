from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model.labels import EMOTIONS, Emotion, Style
from training.data.manifest import Utterance
from training.data.splits import Split, SplitError, held_out_split, speaker_split


def utterance(
    corpus: str,
    speaker: str,
    emotion: Emotion,
    number: int = 0,
    session: str = "",
    recording: str = "",
) -> Utterance:
    path = Path(corpus) / f"{speaker or recording}-{emotion}-{number}.flac"
    return Utterance(path, corpus, Style.ACTED, "xx", speaker, emotion, 1.0, session, recording)


@st.composite
def manifests(draw: st.DrawFn) -> list[Utterance]:
    """One to three corpora of 5 to 9 speakers, whose names may be the same in another corpus."""
    return [
        utterance(corpus, f"s{speaker}", emotion, number)
        for corpus in ["a", "b", "c"][: draw(st.integers(1, 3))]
        for speaker in range(draw(st.integers(5, 9)))
        for number, emotion in enumerate(
            draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=8))
        )
    ]


def has_enough(utterances: list[Utterance], folds: int) -> bool:
    return all(
        max(sum(u.corpus == c and u.emotion == e for u in utterances) for e in EMOTIONS) >= folds
        for c in {u.corpus for u in utterances}
    )


# A corpus may have too little of one emotion to have it in every part; the others still are.
@pytest.mark.filterwarnings("ignore:The least populated class in y")
@given(manifests(), st.integers(3, 5), st.integers(0, 99), st.data())
def test_no_speaker_is_in_two_parts_and_every_corpus_is_in_every_part(
    utterances: list[Utterance], folds: int, seed: int, data: st.DataObject
) -> None:
    assume(has_enough(utterances, folds))
    fold = data.draw(st.integers(0, folds - 1))
    split = speaker_split(utterances, fold, folds, seed)
    parts = (split.train, split.valid, split.test)
    assert sorted((u for part in parts for u in part), key=lambda u: u.path) == sorted(
        utterances, key=lambda u: u.path
    )
    speakers = [{(u.corpus, u.speaker) for u in part} for part in parts]
    assert not speakers[0] & speakers[1]
    assert not speakers[0] & speakers[2]
    assert not speakers[1] & speakers[2]
    for part in parts:
        assert {u.corpus for u in part} == {u.corpus for u in utterances}


@pytest.mark.filterwarnings("ignore:The least populated class in y")
@settings(max_examples=25)
@given(manifests(), st.integers(0, 99))
def test_over_the_folds_every_utterance_is_tested_and_validated_once(
    utterances: list[Utterance], seed: int
) -> None:
    assume(has_enough(utterances, 5))
    splits = [speaker_split(utterances, fold, 5, seed) for fold in range(5)]
    everybody = sorted(u.path for u in utterances)
    assert sorted(u.path for split in splits for u in split.test) == everybody
    assert sorted(u.path for split in splits for u in split.valid) == everybody


def test_the_same_seed_gives_the_same_split(utterances: list[Utterance]) -> None:
    first = speaker_split(utterances, 1, 5, 0)
    assert speaker_split(utterances, 1, 5, 0) == first
    assert any(speaker_split(utterances, 1, 5, seed).test != first.test for seed in range(1, 5))


def test_every_part_has_every_emotion_where_every_speaker_has(utterances: list[Utterance]) -> None:
    split = speaker_split(utterances, 0, 5, 0)
    for part in (split.train, split.valid, split.test):
        assert {u.emotion for u in part} == set(EMOTIONS)


def test_too_few_speakers_are_refused() -> None:
    few = [utterance("a", f"s{s}", e) for s in range(4) for e in EMOTIONS for _ in range(5)]
    with pytest.raises(SplitError, match="a has 4 speakers, expected 5 or more"):
        speaker_split(few, 0, 5, 0)


def test_too_few_utterances_are_refused() -> None:
    few = [utterance("a", f"s{s}", EMOTIONS[s % 4]) for s in range(5)]
    with pytest.raises(SplitError, match="expected 5 utterances of some emotion"):
        speaker_split(few, 0, 5, 0)


@pytest.mark.parametrize(("fold", "folds"), [(5, 5), (-1, 5), (0, 2)])
def test_an_unknown_fold_is_refused(utterances: list[Utterance], fold: int, folds: int) -> None:
    with pytest.raises(SplitError, match=f"found fold {fold} of {folds}, expected"):
        speaker_split(utterances, fold, folds, 0)


def assert_apart(split: Split, everybody: list[Utterance], key: Callable[[Utterance], str]) -> None:
    """Asserts that each utterance is in one part, and that parts have no key in common."""
    parts = (split.train, split.valid, split.test)
    paths = sorted(str(u.path) for part in parts for u in part)
    assert paths == sorted(str(u.path) for u in everybody)
    keys = [{(u.corpus, key(u)) for u in part} for part in parts]
    assert sum(map(len, keys)) == len(set.union(*keys))


@st.composite
def sessions(draw: st.DrawFn, folds: int) -> list[Utterance]:
    """As many sessions as folds, of two speakers each, with any number of utterances."""
    return [
        utterance("dyads", f"{session}{gender}", emotion, number, f"Session{session}")
        for session in range(folds)
        for gender in "FM"
        for number, emotion in enumerate(
            draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=8))
        )
    ]


@settings(max_examples=30)
@given(st.integers(3, 6), st.integers(0, 99), st.data())
def test_sessions_are_the_folds_where_there_are_as_many(
    folds: int, seed: int, data: st.DataObject
) -> None:
    utterances = data.draw(sessions(folds))
    for fold in range(folds):
        split = speaker_split(utterances, fold, folds, seed)
        assert_apart(split, utterances, lambda u: u.session)
        assert_apart(split, utterances, lambda u: u.speaker)
        assert {u.session for u in split.test} == {f"Session{fold}"}
        assert {u.session for u in split.valid} == {f"Session{(fold + 1) % folds}"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda u: replace(u, session="") if u.session == "Session0" else u,
        lambda u: replace(u, session="Session1") if u.session == "Session0" else u,
        # A speaker of two sessions must be in one part all the same.
        lambda u: replace(u, speaker="1F") if u.speaker == "0F" else u,
    ],
    ids=["one is not named", "one too few", "somebody is in two"],
)
@pytest.mark.filterwarnings("ignore:The least populated class in y")
@settings(max_examples=10)
@given(st.integers(0, 99), st.data())
def test_speakers_make_the_folds_where_sessions_cannot(
    spoil: Callable[[Utterance], Utterance], seed: int, data: st.DataObject
) -> None:
    utterances = [spoil(u) for u in data.draw(sessions(5))]
    utterances = [replace(u, path=Path(f"{i}.flac")) for i, u in enumerate(utterances)]
    assume(has_enough(utterances, 5))
    for fold in range(5):
        assert_apart(speaker_split(utterances, fold, 5, seed), utterances, lambda u: u.speaker)


@st.composite
def calls(draw: st.DrawFn) -> list[Utterance]:
    """Calls whose speakers are not known."""
    return [
        utterance("calls", "", emotion, number, recording=f"call{call}")
        for call in range(draw(st.integers(5, 12)))
        for number, emotion in enumerate(
            draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=6))
        )
    ]


@pytest.mark.filterwarnings("ignore:The least populated class in y")
@settings(max_examples=15)
@given(calls(), manifests(), st.integers(0, 99))
def test_without_speakers_no_recording_is_in_two_parts_and_the_split_says_so(
    unknown: list[Utterance], known: list[Utterance], seed: int
) -> None:
    assume(has_enough(unknown + known, 5))
    for fold in range(5):
        split = speaker_split(unknown + known, fold, 5, seed)
        assert_apart(split, unknown + known, lambda u: u.voice)
        assert split.without_speakers == ("calls",)


@pytest.mark.filterwarnings("ignore:The least populated class in y")
@settings(max_examples=10)
@given(st.lists(st.sampled_from(EMOTIONS), min_size=20, max_size=40), st.integers(0, 99))
def test_without_speakers_and_recordings_the_parts_are_random_and_about_equal(
    emotions: list[Emotion], seed: int
) -> None:
    utterances = [utterance("calls", "", emotion, i) for i, emotion in enumerate(emotions)]
    tested = []
    for fold in range(5):
        split = speaker_split(utterances, fold, 5, seed)
        assert split.without_speakers == ("calls",)
        tested += [u.path for u in split.test]
        assert abs(len(split.test) - len(utterances) / 5) <= len(EMOTIONS)
    assert sorted(tested) == sorted(u.path for u in utterances)


def test_too_few_recordings_are_refused() -> None:
    few = [
        utterance("calls", "", e, i, recording=f"call{call}")
        for call in range(3)
        for e in EMOTIONS
        for i in range(5)
    ]
    with pytest.raises(SplitError, match="calls has 3 recordings, expected 5 or more"):
        speaker_split(few, 0, 5, 0)


def test_a_corpus_that_is_held_out_is_tested_whole() -> None:
    utterances = [
        utterance(corpus, f"s{speaker}", emotion)
        for corpus in ("a", "b", "c")
        for speaker in range(5)
        for emotion in EMOTIONS
    ]
    split = held_out_split(utterances, "b", folds=5, seed=0)
    assert split.test == [u for u in utterances if u.corpus == "b"]
    for part, speakers in ((split.train, 4), (split.valid, 1)):
        assert len({u.voice for u in part if u.corpus == "a"}) == speakers
        assert {u.corpus for u in part} == {"a", "c"}
    assert len(split.train) + len(split.valid) + len(split.test) == len(utterances)
    assert {(u.corpus, u.voice) for u in split.train}.isdisjoint(
        (u.corpus, u.voice) for u in split.valid
    )
    assert split.without_speakers == ()
    nameless = [utterance("d", "", EMOTIONS[0], recording="r1")]
    assert held_out_split([*utterances, *nameless], "d", 5, 0).without_speakers == ("d",)
    with pytest.raises(SplitError, match=r"found corpora \['a', 'b', 'c'\], expected x and others"):
        held_out_split(utterances, "x", folds=5, seed=0)
