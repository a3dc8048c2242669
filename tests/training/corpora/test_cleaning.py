from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import EMOTIONS, Style
from training.corpora.cleaning import (
    BACKCHANNELS,
    Rules,
    clean,
    draw,
    is_backchannel,
    majority,
    read_backchannels,
)
from training.corpora.source import CorpusError, Reason, Source

WORDS = (*(e.value for e in EMOTIONS), "disgust")


def source(name: str, transcript: str = "", emotion: str = "", **votes: int) -> Source:
    return Source(
        Path(name),
        name,
        Style.SPONTANEOUS,
        "ja",
        "",
        emotion=emotion,
        votes=votes,
        transcript=transcript,
    )


@pytest.mark.parametrize(
    ("votes", "emotion"),
    [
        ({"anger": 3}, "anger"),
        ({"anger": 2, "neutral": 1}, "anger"),
        ({"neutral": 1, "anger": 2}, "anger"),
        ({"anger": 1, "neutral": 1, "sadness": 1}, None),
        ({"anger": 2, "neutral": 2}, None),
        ({"anger": 2, "neutral": 1, "sadness": 1, "happiness": 1}, None),
        ({"anger": 1}, "anger"),
        ({}, None),
    ],
)
def test_more_than_half_of_the_annotators_decide(
    votes: dict[str, int], emotion: str | None
) -> None:
    assert majority(votes) == emotion


@given(st.dictionaries(st.sampled_from(WORDS), st.integers(1, 5), min_size=1))
def test_the_majority_has_more_votes_than_all_others_together(votes: dict[str, int]) -> None:
    emotion = majority(votes)
    others = sum(votes.values())
    if emotion is None:
        assert all(2 * count <= others for count in votes.values())
    else:
        assert votes[emotion] > others - votes[emotion]


@pytest.mark.parametrize(
    "transcript",
    ["hai", "Hai.", "HAI, hai", "はい", "はい、はい。", "はいはい", "ﾊｲ", "ええ", "ee", "[noise]",
     "<NOISE> はい", "(雑音)", "えー…"],
)  # fmt: skip
def test_transcripts_of_backchannels_alone(transcript: str) -> None:
    assert is_backchannel(transcript, BACKCHANNELS)


@pytest.mark.parametrize(
    "transcript",
    ["", "…", "はい、分かりました", "haiku", "see", "いいえ", "noises", "yes",
     "はいはいって言うな"],
)  # fmt: skip
def test_transcripts_with_other_words_or_without_words(transcript: str) -> None:
    assert not is_backchannel(transcript, BACKCHANNELS)


@given(st.lists(st.sampled_from(sorted(BACKCHANNELS)), min_size=1), st.sampled_from(" 、,. ！"))
def test_backchannels_in_a_row_are_backchannels(words: list[str], between: str) -> None:
    assert is_backchannel(between.join(words), BACKCHANNELS)


def test_a_list_of_other_backchannels_is_read(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Mhm\n\nuh-huh\n...\nja ja\n", encoding="utf-8")
    words = read_backchannels(tmp_path / "words.txt")
    assert words == {"Mhm", "uh-huh", "ja ja"}
    assert is_backchannel("mhm, mhm", words)
    assert not is_backchannel("hai", words)


@pytest.mark.parametrize("content", [b"", b" \n...\n"])
def test_a_list_without_words_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(CorpusError, match="expected backchannels, one a line"):
        read_backchannels(tmp_path / "words.txt")
    with pytest.raises(CorpusError, match="gone.txt: No such file"):
        read_backchannels(tmp_path / "gone.txt")


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 9))
def test_a_draw_has_the_asked_number_of_different_ones_and_is_reproducible(
    count: int, among: int, seed: int
) -> None:
    drawn = draw(count, among, seed)
    assert len(drawn) == min(count, among)
    assert drawn <= set(range(among))
    assert draw(count, among, seed) == drawn


def test_another_seed_draws_others() -> None:
    assert draw(20, 1000, 0) != draw(20, 1000, 1)


def test_each_rule_leaves_out_its_own_and_gives_the_reason() -> None:
    sources = [
        source("agreed", anger=2, disgust=1),
        source("disagreed", anger=1, disgust=1, neutral=1),
        source("disgusted", disgust=3),
        source("unlabelled"),
        source("backchannel", "はい。", neutral=3),
        source("angry backchannel", "はい！", anger=3),
        source("neutral", "番号は三です", neutral=2, sadness=1),
        source("neutral, not transcribed", neutral=3),
        source("labelled", emotion="happiness"),
        source("labelled otherwise", emotion="fear"),
    ]
    kept, left_out = clean(sources, Rules())
    assert [(s.name, s.emotion) for s in kept] == [
        ("agreed", "anger"),
        ("angry backchannel", "anger"),
        ("neutral", "neutral"),
        ("neutral, not transcribed", "neutral"),
        ("labelled", "happiness"),
    ]
    assert [(one.title, one.reason, one.detail) for one in left_out] == [
        ("disagreed", Reason.DISAGREEMENT, "anger=1;disgust=1;neutral=1"),
        ("disgusted", Reason.OTHER_EMOTION, "disgust"),
        ("unlabelled", Reason.UNLABELLED, ""),
        ("backchannel", Reason.BACKCHANNEL, "はい。"),
        ("labelled otherwise", Reason.OTHER_EMOTION, "fear"),
    ]


def test_neutral_utterances_are_drawn_of_those_that_remain() -> None:
    sources = [source(f"n{i}", "はい" if i % 2 else "番号", neutral=3) for i in range(20)]
    sources.insert(3, source("angry", anger=3))
    kept, left_out = clean(sources, Rules(neutral=4, seed=1))
    assert len(kept) == 5
    assert [s for s in sources if s.name in {k.name for k in kept}] != kept  # they have an emotion
    assert [s.name for s in kept] == sorted(
        (k.name for k in kept), key=[s.name for s in sources].index
    )
    reasons = [one.reason for one in left_out]
    assert reasons.count(Reason.BACKCHANNEL) == 10
    assert reasons.count(Reason.NOT_DRAWN) == 6
    assert {one.detail for one in left_out if one.reason == Reason.NOT_DRAWN} == {
        "4 of 10 drawn, seed 1"
    }


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(WORDS), st.integers(1, 3)),
            st.sampled_from(["はい", "番号", ""]),
        ),
        max_size=30,
    ),
    st.none() | st.integers(0, 10),
)
def test_every_utterance_is_kept_or_listed_as_left_out(
    labelled: list[tuple[dict[str, int], str]], neutral: int | None
) -> None:
    sources = [source(str(i), words, **votes) for i, (votes, words) in enumerate(labelled)]
    kept, left_out = clean(sources, Rules(neutral=neutral))
    names = [s.name for s in kept] + [one.title for one in left_out]
    assert sorted(names) == sorted(s.name for s in sources)
    assert all(s.emotion in EMOTIONS for s in kept)
    if neutral is not None:
        assert sum(s.emotion == "neutral" for s in kept) <= neutral
