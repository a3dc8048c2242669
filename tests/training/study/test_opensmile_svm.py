from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.features import log_mel
from model.labels import EMOTIONS, STYLES, Emotion, Style
from model.speaker_baseline import BASELINE_UTTERANCES
from training.data.channel import CLEAN, CONDITIONS, TELEPHONE, Channel
from training.data.dataset import PLAIN_GATE, RecordingError, speech_frames
from training.data.enrolment import enrolments
from training.data.manifest import Utterance
from training.data.splits import Split, speaker_split
from training.metrics import ANGER
from training.study.opensmile_svm import (
    FURTHEST,
    NORMALISATIONS,
    PEERS,
    SPEC,
    Functionals,
    PeerError,
    build,
    by_caller,
    by_corpus,
    by_speaker,
    corpus_scalers,
    functionals_of,
    heard,
    mean_ua,
    rows_of_voices,
    run_peer,
    training_pasts,
)
from training.study.predictions import Predictions, Run

LINES = {name: CONDITIONS[name] for name in ("clean", "mulaw")}


def functionals_in(
    utterances: Sequence[Utterance], folder: Path, line: Channel = CLEAN, kind: str = "eGeMAPSv02"
) -> Functionals:
    return build(utterances, kind, line, folder)


def copied(utterances: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """The same utterances as files that a test may change."""
    folder.mkdir()
    mine = []
    for utterance in utterances:
        path = folder / f"{utterance.corpus}-{utterance.path.name}"
        path.write_bytes(utterance.path.read_bytes())
        mine.append(replace(utterance, path=path))
    return mine


def spoken(voices: int, of_emotion: int = 4, corpora: int = 2) -> list[Utterance]:
    """Labels without recordings; the voices of all corpora have the same names."""
    return [
        Utterance(Path(f"{c}{v}{e}{take}"), f"c{c}", Style.ACTED, "xx", f"s{v}", e, 1.0)
        for c in range(corpora)
        for v in range(voices)
        for e in EMOTIONS
        for take in range(of_emotion)
    ]


def random_functionals(count: int, seed: int = 0) -> Functionals:
    return np.random.default_rng(seed).normal(3, 5, (count, 6))


# ---- functionals -------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [CLEAN, TELEPHONE])
def test_a_peer_hears_what_a_network_hears(
    utterances: list[Utterance], tmp_path: Path, line: Channel
) -> None:
    """But for the first frame, whose pre-emphasis knows the sample before."""
    tones = np.concatenate([soundfile.read(u.path, dtype="int16")[0] for u in utterances[-30:]])
    silence = np.zeros(8000, np.int16)
    soundfile.write(tmp_path / "long.flac", np.concatenate((silence, tones, silence)), 8000)
    soundfile.write(tmp_path / "silent.flac", silence, 8000)
    for path in (tmp_path / "long.flac", tmp_path / "silent.flac", utterances[0].path):
        frames = speech_frames(path, line, SPEC, PLAIN_GATE)[: SPEC.window_frames]
        own = log_mel(heard(path, line), SPEC)
        assert len(own) == len(frames)
        np.testing.assert_array_equal(own[1:], frames[1:])
    assert len(heard(tmp_path / "long.flac", line)) == 60_000 - 40


def test_what_is_too_short_for_opensmile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(479, np.int16), 8000)
    with pytest.raises(RecordingError, match=r"a.flac: \d+ samples, expected 480 or more"):
        heard(path, CLEAN)
    soundfile.write(path, np.zeros(600, np.int16), 8000)
    assert np.isfinite(functionals_of(path, "eGeMAPSv02", CLEAN)).all()


@pytest.mark.parametrize(("kind", "count"), [("eGeMAPSv02", 88), ("ComParE_2016", 6373)])
def test_every_utterance_has_its_functionals(
    utterances: list[Utterance], tmp_path: Path, kind: str, count: int
) -> None:
    some = utterances[38:42]
    made = functionals_in(some, tmp_path, TELEPHONE, kind)
    assert made.shape == (4, count)
    assert np.isfinite(made).all()
    for row, utterance in zip(made, some, strict=True):
        own = functionals_of(utterance.path, kind, TELEPHONE)
        np.testing.assert_array_equal(row, own)


def test_functionals_are_made_once_and_then_read(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    mine = copied(utterances[:3], tmp_path / "recordings")
    made = functionals_in(mine, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for utterance in mine:
        utterance.path.unlink()
    np.testing.assert_array_equal(functionals_in(mine, tmp_path / "cache"), made)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_whatever_changes_the_functionals_has_a_file_of_its_own(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    few = utterances[:2]
    for number, (listed, line) in enumerate(
        [(few, CLEAN), (few, TELEPHONE), (few[::-1], CLEAN), (few[:1], CLEAN)], start=1
    ):
        made = functionals_in(listed, tmp_path, line)
        assert len(list(tmp_path.iterdir())) == number
        for row, utterance in zip(made, listed, strict=True):
            own = functionals_of(utterance.path, "eGeMAPSv02", line)
            np.testing.assert_array_equal(row, own)


def test_a_making_that_stopped_goes_on_where_it_was(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    mine = copied(utterances[:4], tmp_path / "recordings")
    expected = functionals_in(mine, tmp_path / "whole")
    recording = mine[2].path.read_bytes()
    mine[2].path.write_bytes(b"no sound")
    with pytest.raises(RecordingError, match=str(mine[2].path)):
        functionals_in(mine, tmp_path / "cache")
    (begun,) = (tmp_path / "cache").iterdir()
    assert begun.suffix == ".part"
    mine[2].path.write_bytes(recording)
    # What was made before, with marks to know it by, and half a row that a kill cut off.
    marked = np.full((2, expected.shape[1]), 7, np.float32)
    begun.write_bytes(marked.tobytes() + marked[0, :40].tobytes())
    made = functionals_in(mine, tmp_path / "cache")
    np.testing.assert_array_equal(made[:2], marked)
    np.testing.assert_array_equal(made[2:], expected[2:])
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"]


# ---- normalisation -----------------------------------------------------------------------------


def test_a_corpus_is_scaled_by_its_training_part() -> None:
    utterances = spoken(3)
    train = random_functionals(len(utterances))
    scalers = corpus_scalers(train, utterances)
    scaled = by_corpus(train, utterances, scalers)
    for corpus in ("c0", "c1"):
        own = [u.corpus == corpus for u in utterances]
        np.testing.assert_allclose(scaled[own].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(scaled[own].std(axis=0), 1)
        one = np.flatnonzero(own)[:1]
        alone = by_corpus(train[one], [utterances[one[0]]], scalers)
        np.testing.assert_array_equal(alone, scaled[one])


def test_a_functional_without_bound_is_clipped_and_one_that_never_changes_is_nothing() -> None:
    utterances = spoken(2)
    functionals = random_functionals(len(utterances))
    functionals[:, 0] = 0.1
    scalers = corpus_scalers(functionals, utterances)
    functionals[3, 1] = 1e30
    scaled = by_corpus(functionals, utterances, scalers)
    assert scaled[3, 1] == FURTHEST
    np.testing.assert_allclose(scaled[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(by_speaker(functionals, utterances)[:, 0], 0, atol=1e-12)


def test_a_corpus_that_was_not_trained_on_is_told() -> None:
    utterances = spoken(2, corpora=1)
    scalers = corpus_scalers(random_functionals(len(utterances)), utterances)
    strange = [replace(utterances[0], corpus="street")]
    with pytest.raises(PeerError, match=r"found corpora \['street'\], expected some of \['c0'\]"):
        by_corpus(random_functionals(1), strange, scalers)


def test_a_speaker_is_scaled_by_all_that_the_speaker_says() -> None:
    """Speakers of the same name in two corpora are two speakers."""
    utterances = spoken(3)
    scaled = by_speaker(random_functionals(len(utterances)), utterances)
    voices = rows_of_voices(utterances)
    assert len(voices) == 6
    for own in voices.values():
        np.testing.assert_allclose(scaled[own].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(scaled[own].std(axis=0), 1)


def test_who_says_but_one_thing_is_normal() -> None:
    alone = by_speaker(random_functionals(1), spoken(1)[:1])
    np.testing.assert_array_equal(alone, np.zeros((1, 6)))


@pytest.mark.parametrize(("seed", "row"), [(0, 0), (1, 15), (2, 20), (3, 31)])
def test_a_caller_is_known_by_the_past_alone(seed: int, row: int) -> None:
    utterances = spoken(2, corpora=1)
    before = enrolments(utterances, "caller", seed)
    scaled = random_functionals(len(utterances), seed)
    centred = by_caller(scaled, before, 3.0)
    known = {row, *before[row]}
    future = scaled.copy()
    future[[r for r in range(len(scaled)) if r not in known]] = 99.0
    np.testing.assert_array_equal(by_caller(future, before, 3.0)[row], centred[row])
    other_past = scaled.copy()
    other_past[before[row][0]] += 1.0
    assert (by_caller(other_past, before, 3.0)[row] < centred[row]).all()


def test_the_less_past_the_nearer_to_the_corpus() -> None:
    scaled = random_functionals(5)
    before = [[], [0], [0, 1], [0, 1, 2], [0]]
    centred = by_caller(scaled, before, 2.0)
    np.testing.assert_array_equal(centred[0], scaled[0])
    np.testing.assert_allclose(centred[1], scaled[1] - scaled[0] / 3)
    np.testing.assert_allclose(centred[3], scaled[3] - scaled[:3].mean(axis=0) * 3 / 5)
    np.testing.assert_allclose(by_caller(scaled, before, 1e9), scaled, atol=1e-6)
    np.testing.assert_allclose(
        by_caller(scaled, before, 1e-9)[3], scaled[3] - scaled[:3].mean(axis=0), atol=1e-6
    )


def test_pasts_in_training_are_of_any_length_and_mostly_neutral() -> None:
    utterances = spoken(5, 8)
    drawn = training_pasts(utterances, np.random.default_rng(0))
    lengths = Counter(map(len, drawn))
    assert set(lengths) == set(range(BASELINE_UTTERANCES + 1))
    assert min(lengths.values()) > len(utterances) / (BASELINE_UTTERANCES + 1) / 2
    emotions = Counter(utterances[row].emotion for past in drawn for row in past)
    assert emotions[Emotion.NEUTRAL] > emotions.total() / 2
    assert len(emotions) == len(EMOTIONS)
    for row, past in enumerate(drawn):
        assert row not in past
        assert len(set(past)) == len(past)
        assert {(utterances[r].corpus, utterances[r].speaker) for r in past} <= {
            (utterances[row].corpus, utterances[row].speaker)
        }
    alone = spoken(1, 1, 1)[:1]
    assert training_pasts(alone, np.random.default_rng(0)) == [[]]


# ---- one run -----------------------------------------------------------------------------------


def test_every_corpus_counts_the_same() -> None:
    utterances = spoken(1, 1)[:4] + spoken(3, 1)[12:]
    told = np.array([EMOTIONS.index(u.emotion) for u in utterances])
    assert mean_ua(utterances, told) == 1.0
    told[0] = (told[0] + 1) % 4
    assert mean_ua(utterances, told) == pytest.approx((3 / 4 + 1) / 2)


@pytest.fixture(scope="module")
def split(utterances: list[Utterance]) -> Split:
    return speaker_split(utterances, 0, 5, 0)


@pytest.fixture(scope="module")
def usual(split: Split, cache: Path) -> Predictions:
    return run_peer(run_of("egemaps"), split, LINES, cache)


def run_of(peer: str) -> Run:
    return Run(peer, "svm", "both", 1.0, 1.0, 0, 0)


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_learns_and_answers_in_every_way(
    split: Split, cache: Path, tmp_path: Path, peer: str
) -> None:
    answers = run_peer(run_of(peer), split, LINES, cache)
    assert answers.utterance.tolist() == [f"{u.corpus}/{u.path.name}" for u in split.test]
    assert answers.speaker.tolist() == [u.speaker for u in split.test]
    assert [EMOTIONS[e] for e in answers.emotion] == [u.emotion for u in split.test]
    assert [STYLES[s] for s in answers.style] == [u.style for u in split.test]
    assert set(answers.logits) == {f"{how}/{name}" for how in NORMALISATIONS for name in LINES}
    for way, logits in answers.logits.items():
        assert logits.shape == (len(split.test), 4)
        assert mean_ua(split.test, logits.argmax(1)) >= 0.5, way  # by chance 0.25
    for how in NORMALISATIONS:
        assert not np.array_equal(answers.logits[f"{how}/clean"], answers.logits[f"{how}/mulaw"])
        probability = np.exp(answers.logits[f"{how}/clean"] / answers.temperature[how])
        probability /= probability.sum(axis=1, keepdims=True)
        angry = probability[:, ANGER] >= answers.anger_at[how]
        is_angry = answers.emotion == ANGER
        assert angry[is_angry].mean() - angry[~is_angry].mean() > 0.2, how  # by chance 0
    assert set(answers.about["chosen"]) == set(NORMALISATIONS)
    answers.save(tmp_path / "run")
    loaded = Predictions.load(tmp_path / "run")
    assert loaded.about["chosen"] == answers.about["chosen"]
    for way, logits in answers.logits.items():
        np.testing.assert_array_equal(loaded.logits[way], logits)


def test_a_run_is_reproducible_with_or_without_a_cache(
    split: Split, usual: Predictions, tmp_path: Path
) -> None:
    fresh = run_peer(run_of("egemaps"), split, LINES, tmp_path)
    assert (fresh.temperature, fresh.anger_at) == (usual.temperature, usual.anger_at)
    for way, logits in usual.logits.items():
        np.testing.assert_array_equal(fresh.logits[way], logits)


def test_nothing_of_the_test_part_is_learnt(split: Split, usual: Predictions, cache: Path) -> None:
    """Whatever is said to be in it, and in whatever order: it is answered as before.

    Only a caller's past is found by labels: where nobody was neutral, there is none.
    """
    relabelled = [replace(u, emotion=Emotion.SADNESS) for u in split.test[::-1]]
    other = run_peer(run_of("egemaps"), replace(split, test=relabelled), {"clean": CLEAN}, cache)
    assert (other.temperature, other.anger_at) == (usual.temperature, usual.anger_at)
    for how in ("corpus", "speaker"):
        np.testing.assert_allclose(
            other.logits[f"{how}/clean"], usual.logits[f"{how}/clean"][::-1], atol=1e-5
        )
    assert not np.allclose(other.logits["caller/clean"], usual.logits["caller/clean"][::-1])


def test_what_cannot_be_run_is_told(split: Split, cache: Path) -> None:
    with pytest.raises(PeerError, match="found peer 'wav2vec', expected one of .*'egemaps'"):
        run_peer(run_of("wav2vec"), split, LINES, cache)
    calm = replace(split, train=[u for u in split.train if u.emotion is not Emotion.ANGER])
    with pytest.raises(PeerError, match=r"found \['happiness', .* to train on, expected \['anger'"):
        run_peer(run_of("egemaps"), calm, LINES, cache)
