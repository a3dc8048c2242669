from pathlib import Path

from model.labels import Emotion, Style
from training.corpora.report import PreparationReport
from training.corpora.source import LeftOut, Reason
from training.data.manifest import Utterance


def utterance(speaker: str, emotion: Emotion) -> Utterance:
    return Utterance(Path("a.flac"), "stage", Style.ACTED, "xx", speaker, emotion, 900.0)


def test_utterances_are_counted_and_those_left_out_are_named() -> None:
    report = PreparationReport(
        "stage",
        (
            utterance("stage_2", Emotion.ANGER),
            utterance("stage_1", Emotion.ANGER),
            utterance("stage_1", Emotion.NEUTRAL),
        ),
        (
            LeftOut("b.wav", Reason.OTHER_EMOTION, "fear"),
            LeftOut("c.wav", Reason.UNLABELLED),
            LeftOut("d.wav", Reason.OTHER_EMOTION, "disgust"),
        ),
        ("less than the paper has",),
    )
    assert report.text() == (
        "stage: 3 utterances, 2 speakers, 0.75 hours\n"
        "  anger                         2\n"
        "  happiness                     0\n"
        "  sadness                       0\n"
        "  neutral                       1\n"
        "left out: 3\n"
        "  another emotion               2\n"
        "  unlabelled                    1\n"
        "warning: less than the paper has\n"
        "\n"
        "speaker                       anger  happiness    sadness    neutral\n"
        "stage_1                           1          0          0          1\n"
        "stage_2                           1          0          0          0\n"
        "\n"
        "another emotion:\n"
        "  b.wav: fear\n"
        "  d.wav: disgust\n"
        "unlabelled:\n"
        "  c.wav\n"
    )


def test_a_corpus_without_speakers_says_so() -> None:
    report = PreparationReport("calls", (utterance("", Emotion.SADNESS),), ())
    assert report.text().startswith("calls: 1 utterances, speakers not known, 0.25 hours\n")
    assert "speaker   " not in report.text()


def test_the_summary_for_a_terminal_has_the_first_examples_of_each_reason() -> None:
    left_out = [LeftOut(f"{i}.wav", Reason.CHANNEL, "2 channels") for i in range(5)]
    left_out.append(LeftOut("c.wav", Reason.UNLABELLED))
    summary = PreparationReport("calls", (), tuple(left_out)).summary()
    assert summary.endswith(
        "left out: 6\n"
        "  channel not known             5\n"
        "    such as 0.wav: 2 channels\n"
        "    such as 1.wav: 2 channels\n"
        "    such as 2.wav: 2 channels\n"
        "  unlabelled                    1\n"
        "    such as c.wav"
    )
