import numpy as np

from model.functionals import functional_count, functionals
from model.speaker_baseline import BASELINE_UTTERANCES, SpeakerBaseline
from tests.model.test_functionals import PLAIN, VOICE, speech


def test_before_the_first_utterance_there_is_no_baseline() -> None:
    window = SpeakerBaseline(VOICE).features(speech())
    assert window.baseline_utterances == 0
    assert not window.baseline.any()
    assert window.baseline.shape == window.functionals.shape == (functional_count(VOICE),)
    np.testing.assert_array_equal(window.frames, speech())
    np.testing.assert_array_equal(window.functionals, functionals(speech(), VOICE))


def test_the_baseline_is_the_mean_of_the_utterances() -> None:
    baseline = SpeakerBaseline(VOICE)
    utterances = [speech(seed, samples) for seed, samples in ((1, 9000), (2, 30_000), (3, 12_000))]
    for utterance in utterances:
        baseline.update(utterance)
    window = baseline.features(speech())
    assert window.baseline_utterances == 3
    mean = np.mean([functionals(utterance, VOICE) for utterance in utterances], axis=0)
    np.testing.assert_allclose(window.baseline, mean, rtol=1e-5, atol=1e-5)
    assert window.baseline.dtype == np.float32


def test_only_earlier_utterances_count() -> None:
    """A window changes no baseline, and a later utterance changes no earlier window."""
    baseline, other = SpeakerBaseline(VOICE), SpeakerBaseline(VOICE)
    for one in (baseline, other):
        one.update(speech(1))
    first = baseline.features(speech(2))
    before = first.baseline.copy()
    again = baseline.features(speech(2))
    baseline.update(speech(3))
    baseline.features(speech(4))
    expected = other.features(speech(2))
    for window in (first, again):
        assert window.baseline_utterances == expected.baseline_utterances == 1
        np.testing.assert_array_equal(window.baseline, before)
        np.testing.assert_array_equal(window.baseline, expected.baseline)
        np.testing.assert_array_equal(window.functionals, expected.functionals)


def test_utterances_of_fewer_than_two_frames_do_not_count() -> None:
    baseline = SpeakerBaseline(VOICE)
    baseline.update(speech()[:0])
    baseline.update(speech()[:1])
    assert baseline.features(speech()).baseline_utterances == 0
    baseline.update(speech()[:2])
    assert baseline.features(speech()).baseline_utterances == 1


def test_the_baselines_of_two_callers_are_independent() -> None:
    one, other = SpeakerBaseline(VOICE), SpeakerBaseline(VOICE)
    one.update(speech(1))
    assert other.features(speech()).baseline_utterances == 0


def test_a_spec_without_functionals_has_no_baseline() -> None:
    baseline = SpeakerBaseline(PLAIN)
    baseline.update(speech()[:, :40])
    window = baseline.features(speech()[:, :40])
    assert window.baseline_utterances == 0
    assert window.functionals.shape == window.baseline.shape == (0,)


def test_a_complete_baseline_stays_as_it_is() -> None:
    baseline = SpeakerBaseline(VOICE)
    for seed in range(BASELINE_UTTERANCES):
        baseline.update(speech(seed))
    complete = baseline.features(speech(100))
    baseline.update(speech(99))
    again = baseline.features(speech(100))
    assert again.baseline_utterances == complete.baseline_utterances == BASELINE_UTTERANCES
    np.testing.assert_array_equal(again.baseline, complete.baseline)
