import io
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from model import SHIPPED
from model.artifact import load
from model.audio import SAMPLE_RATE
from model.gate import HOP_S, speech_spans
from model.labels import EMOTIONS, STYLES, Emotion, Style
from model.recording import (
    AudioChannel,
    BadRecording,
    EmptyRecording,
    RecordingTooLong,
    decode,
)
from model.speaker_baseline import SpeakerBaseline
from service.calls.windows import Window
from service.classification import Classifier, CutRecording, classification, cut
from service.scoring.scorer import Posterior
from service.scoring.torch_scorer import TorchScorer
from tests.g711 import alaw, mulaw
from tests.paths import SAMPLES

NAMES = sorted(path.stem for path in SAMPLES.glob("*.flac"))
META = load(SHIPPED).meta


@cache
def file(name: str = "neutral") -> bytes:
    return (SAMPLES / f"{name}.flac").read_bytes()


@cache
def samples(name: str = "neutral") -> NDArray[np.int16]:
    """(n, 2)"""
    pcm, _ = soundfile.read(io.BytesIO(file(name)), dtype="int16")
    return pcm


def written(pcm: NDArray[np.int16], rate: int = SAMPLE_RATE, form: str = "WAV") -> bytes:
    into = io.BytesIO()
    soundfile.write(into, pcm, rate, format=form)
    return into.getvalue()


def decoded(data: bytes, channel: AudioChannel = "mix", max_s: float = 600) -> NDArray[np.int16]:
    return decode(io.BytesIO(data), channel, max_s)


NOISE = np.random.default_rng(0).integers(-9000, 9000, (2 * SAMPLE_RATE, 2)).astype(np.int16)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_call_is_cut_at_its_speech(name: str) -> None:
    pcm = decoded(file(name), "0")
    np.testing.assert_array_equal(pcm, samples(name)[:, 0])
    recording = cut(pcm, META, 1.5, 1.0)
    spans = [s for s in speech_spans(pcm, META.gate) if (s.end - s.start) * HOP_S >= 0.5]
    speech_s = sum(end - start for start, end in spans) * HOP_S
    assert recording.duration_s == len(pcm) / SAMPLE_RATE
    assert recording.speech_s == pytest.approx(speech_s)
    assert 10 < speech_s < recording.duration_s
    assert sum(w.heard_s for w in recording.windows) == pytest.approx(speech_s)
    assert {round(w.start_s / HOP_S) for w in recording.windows} == {s.start for s in spans}


@pytest.mark.parametrize("channel", ["0", "1"])
def test_a_channel_is_decoded_alone(channel: AudioChannel) -> None:
    np.testing.assert_array_equal(decoded(file(), channel), samples()[:, int(channel)])


def test_a_mix_is_the_mean_of_both_channels() -> None:
    loud = np.full((SAMPLE_RATE, 2), 32767, np.int16)
    np.testing.assert_array_equal(decoded(written(loud)), loud[:, 0])
    expected = np.rint(samples().mean(axis=1)).astype(np.int16)
    np.testing.assert_array_equal(decoded(file()), expected)


@pytest.mark.parametrize("channel", ["mix", "0"])
def test_a_mono_recording_is_decoded_as_it_is(channel: AudioChannel) -> None:
    np.testing.assert_array_equal(decoded(written(NOISE[:, 0]), channel), NOISE[:, 0])


@pytest.mark.parametrize("form", ["WAV", "FLAC", "AIFF", "OGG", "MP3"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_formats_and_rates_are_brought_to_8_khz(form: str, rate: int) -> None:
    speech = samples()[: 5 * SAMPLE_RATE, 0]
    wide = soxr.resample(speech, SAMPLE_RATE, rate, quality="VHQ")
    pcm = decoded(written(wide, rate, form), "0")
    assert pcm.dtype == np.int16
    assert len(pcm) == pytest.approx(len(speech), abs=2)
    n = min(len(pcm), len(speech))
    assert np.corrcoef(pcm[:n], speech[:n])[0, 1] > 0.98


def text() -> bytes:
    return b"This is no recording, whatever its name may say.\n" * 20


@pytest.mark.parametrize(
    ("data", "channel", "error", "message"),
    [
        (b"", "mix", EmptyRecording, "got 0 bytes, expected a recording"),
        (written(NOISE[:0]), "mix", EmptyRecording, "got 0 samples, expected a recording"),
        (text(), "mix", BadRecording, "got unreadable audio .*expected WAV, FLAC"),
        (file()[: len(file()) // 2], "mix", BadRecording, "got unreadable audio"),
        (written(NOISE)[:20], "mix", BadRecording, "got unreadable audio"),
        (written(NOISE, 96_000), "mix", BadRecording, "got 96000 Hz, expected 8000 to 48000 Hz"),
        (written(NOISE, 7_999), "mix", BadRecording, "got 7999 Hz, expected 8000 to 48000 Hz"),
        (
            written(np.repeat(NOISE[:, :1], 3, 1)),
            "0",
            BadRecording,
            "got 3 channels, expected 1 or",
        ),
        (written(NOISE[:, 0]), "1", BadRecording, "got channel 1 of 1, expected one that is there"),
    ],
    ids=["empty", "no samples", "text", "truncated", "stub", "96k", "7999", "3 channels", "mono"],
)
def test_a_bad_recording_is_refused_with_what_came_and_what_was_expected(
    data: bytes, channel: AudioChannel, error: type[BadRecording], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        decoded(data, channel)
    assert type(caught.value) is error


def test_a_recording_of_the_longest_length_is_decoded_and_one_sample_more_is_not() -> None:
    assert len(decoded(written(NOISE), max_s=2)) == len(NOISE)
    longer = np.append(NOISE, NOISE[:1], axis=0)
    with pytest.raises(RecordingTooLong, match="got more than 2 s of audio, expected at most 2 s"):
        decoded(written(longer), max_s=2)


def test_a_wrong_length_in_the_header_is_ignored() -> None:
    data = bytearray(written(NOISE))
    data[40:44] = (2**31 - 1).to_bytes(4, "little")  # RIFF: bytes of samples
    np.testing.assert_array_equal(decoded(bytes(data), "0"), NOISE[:, 0])


def test_a_speaker_baseline_is_made_of_what_comes_earlier_in_the_recording() -> None:
    utterances = [
        window.model_input.baseline_utterances
        for window in cut(samples()[:, 0], META, 1.5, 1.0).windows
    ]
    assert utterances[0] == 0
    assert utterances == sorted(utterances)
    assert utterances[-1] > 2


def test_silence_has_no_windows_and_no_emotion() -> None:
    recording = cut(np.zeros(3 * SAMPLE_RATE, np.int16), META, 1.5, 1.0)
    assert (recording.duration_s, recording.speech_s, recording.windows) == (3, 0, [])
    answer = classification(recording, [], META)
    assert answer.emotion is None
    assert answer.probabilities is None
    assert answer.style is None
    assert answer.duration_s == 3


def test_the_whole_is_the_mean_of_the_windows_by_the_speech_they_add() -> None:
    model_input = SpeakerBaseline(META.features).features(
        np.zeros((100, META.features.n_features), np.float32)
    )
    windows = [Window(1.0, 2.5, 1.5, model_input), Window(1.0, 3.0, 0.5, model_input)]
    style = {Style.ACTED: 0.25, Style.SPONTANEOUS: 0.75}
    sure = Posterior(dict(zip(EMOTIONS, (1.0, 0.0, 0.0, 0.0), strict=True)), style)
    other = Posterior(dict(zip(EMOTIONS, (0.0, 0.0, 1.0, 0.0), strict=True)), style)
    answer = classification(CutRecording(10.0, 2.0, windows), [sure, other], META)
    assert answer.emotion is Emotion.ANGER
    assert answer.probabilities == {
        Emotion.ANGER: 0.75,
        Emotion.HAPPINESS: 0.0,
        Emotion.SADNESS: 0.25,
        Emotion.NEUTRAL: 0.0,
    }
    assert answer.style == style
    assert (answer.duration_s, answer.speech_s) == (10.0, 2.0)
    assert [(w.start_s, w.end_s) for w in answer.windows] == [(1.0, 2.5), (1.0, 3.0)]
    assert answer.windows[1].probabilities == other.emotion
    assert (answer.model.name, answer.model.version) == (META.name, META.version)


def test_a_sample_call_is_classified_in_this_process_with_the_shipped_model() -> None:
    answer = Classifier.load().classify(io.BytesIO(file("sounds-angry-once")), "0")
    recording = cut(decoded(file("sounds-angry-once"), "0"), META, 1.5, 1.0)
    assert [(w.start_s, w.end_s) for w in answer.windows] == [
        (w.start_s, w.end_s) for w in recording.windows
    ]
    assert answer.probabilities is not None
    assert answer.style is not None
    assert tuple(answer.probabilities) == EMOTIONS
    assert tuple(answer.style) == STYLES
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert answer.emotion == max(answer.probabilities, key=answer.probabilities.__getitem__)
    weights = [w.heard_s for w in recording.windows]
    for emotion in EMOTIONS:
        mean = np.average([w.probabilities[emotion] for w in answer.windows], weights=weights)
        assert answer.probabilities[emotion] == pytest.approx(mean)


def scored(pcm: NDArray[np.int16]) -> tuple[list[tuple[float, float]], NDArray[np.float64]]:
    """Returns each window's start and end (s), and the shipped model's probabilities (n, 4)."""
    windows = cut(pcm, META, 1.5, 1.0).windows
    posteriors = TorchScorer.load(SHIPPED, "cpu", threads=1).score([w.model_input for w in windows])
    probabilities = np.array([[posterior.emotion[e] for e in EMOTIONS] for posterior in posteriors])
    return [(w.start_s, w.end_s) for w in windows], probabilities


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("codec", [mulaw, alaw])
def test_a_codec_hardly_changes_how_a_studio_recording_sounds(
    name: str, codec: Callable[[NDArray[np.int16]], NDArray[np.int16]]
) -> None:
    """The gate may open or close at another time, which changes few windows."""
    pcm = decoded(file(name), "0")
    (spans, plain), (coded_spans, coded) = scored(pcm), scored(codec(pcm))
    assert plain.shape == coded.shape
    moved = np.abs(plain - coded).max(1)
    alike = [one == other for one, other in zip(spans, coded_spans, strict=True)]
    assert np.mean(alike) > 0.8
    assert moved[alike].max() < 0.025
    assert np.mean(moved < 0.02) > 0.9
