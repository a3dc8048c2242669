"""The readers of corpora that encode speaker and emotion in file names, through to the folds."""

import os
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from model.labels import EMOTIONS, Emotion, Style
from tests.training.corpora.shapes import named_folder
from training.corpora import READERS
from training.corpora.preparation import prepare
from training.corpora.source import Reason, Source
from training.data.manifest import folders_of, manifests_in, read_manifest
from training.data.splits import speaker_split

# Of each corpus: a name, its speaker, its emotion.
NAMES = {
    "ased": [
        ("01Neutral/n1-01-01-01-01.wav", "01", "neutral"),
        ("02Fearful/f2-02-02-02-04.wav", "04", "fear"),
        ("03Happy/h3-04-01-02-04.wav", "04", "happiness"),
        ("04Sad/S4-04-02-01-29.wav", "29", "sadness"),
        ("05Angry/a5-03-02-01-65.wav", "65", "anger"),
    ],
    "cremad": [
        ("AudioWAV/1001_DFA_ANG_XX.wav", "1001", "anger"),
        ("AudioWAV/1001_IEO_HAP_HI.wav", "1001", "happiness"),
        ("AudioWAV/1040_ITH_SAD_X.wav", "1040", "sadness"),
        ("AudioWAV/1091_WSI_NEU_XX.wav", "1091", "neutral"),
        ("AudioWAV/1002_TIE_DIS_XX.wav", "1002", "disgust"),
        ("AudioWAV/1002_TIE_FEA_XX.wav", "1002", "fear"),
    ],
    "emodb": [
        ("wav/03a01Fa.wav", "03", "happiness"),
        ("wav/08b10Wc.wav", "08", "anger"),
        ("wav/16a05Td.wav", "16", "sadness"),
        ("wav/11b02Na.wav", "11", "neutral"),
        ("wav/11b02La.wav", "11", "boredom"),
        ("wav/12a04Ac.wav", "12", "fear"),
        ("wav/13a04Eb.wav", "13", "disgust"),
    ],
    "emovo": [
        ("f1/dis-f1-b1.wav", "f1", "disgust"),
        ("f1/rab-f1-l4.wav", "f1", "anger"),
        ("m3/gio-m3-d2.wav", "m3", "happiness"),
        ("m2/tri-m2-n5.wav", "m2", "sadness"),
        ("f2/neu-f2-b3.wav", "f2", "neutral"),
        ("f3/pau-f3-b3.wav", "f3", "fear"),
        ("f3/sor-f3-b3.wav", "f3", "surprise"),
    ],
    "eyase": [
        ("Female01_ang_01.wav", "Female01", "anger"),
        ("Male02_hap_14.wav", "Male02", "happiness"),
        ("Female03_sad_05.wav", "Female03", "sadness"),
        ("Male03_neu_18.wav", "Male03", "neutral"),
    ],
    "nemo": [
        ("samples/EB0_anger_1.wav", "EB0", "anger"),
        ("samples/SM0_happiness_34.wav", "SM0", "happiness"),
        ("samples/TP0_sadness_90.wav", "TP0", "sadness"),
        ("samples/KS0_neutral_72.wav", "KS0", "neutral"),
        ("samples/KS0_surprised_2.wav", "KS0", "surprised"),
        ("samples/MK0_fear_11.wav", "MK0", "fear"),
    ],
    "ravdess": [
        ("Actor_01/03-01-05-01-01-01-01.wav", "01", "anger"),
        ("Actor_02/03-01-03-02-02-02-02.wav", "02", "happiness"),
        ("Actor_24/03-01-04-01-01-02-24.wav", "24", "sadness"),
        ("Actor_24/03-01-01-01-01-02-24.wav", "24", "neutral"),
        ("Actor_24/03-01-02-01-01-02-24.wav", "24", "calm"),
        ("Actor_24/03-02-05-01-01-02-24.wav", "24", "sung anger"),
    ],
    "savee": [
        ("AudioData/DC/a01.wav", "DC", "anger"),
        ("AudioData/JE/h15.wav", "JE", "happiness"),
        ("AudioData/JK/sa02.wav", "JK", "sadness"),
        ("AudioData/KL/su02.wav", "KL", "surprise"),
        ("KL_n30.wav", "KL", "neutral"),
        ("DC_d01.wav", "DC", "disgust"),
        ("DC_f01.wav", "DC", "fear"),
    ],
    "shemo": [
        ("male/M03A05.wav", "M03", "anger"),
        ("female/F21H02.wav", "F21", "happiness"),
        ("female/F01S010.wav", "F01", "sadness"),
        ("M56N11.wav", "M56", "neutral"),
        ("male/M02W01.wav", "M02", "surprise"),
        ("female/F03F01.wav", "F03", "fear"),
    ],
    "urdu": [
        ("Angry/SM1_F10_A010.wav", "SM1", "anger"),
        ("Happy/SF2_F1_H013.wav", "SF2", "happiness"),
        ("Neutral/SM5_F37_N065.wav", "SM5", "neutral"),
        ("Sad/SM25_F25_S075.wav", "SM25", "sadness"),
    ],
}
SPONTANEOUS = {"eyase", "shemo", "urdu"}

# Six speakers with every emotion, twice.
TAKES: dict[str, tuple[str, Sequence[str], Sequence[str]]] = {
    "ased": ("{emotion}1-0{take}-01-01-0{speaker}.wav", "ahsn", "12"),
    "cremad": (
        "AudioWAV/100{speaker}_{take}_{emotion}_XX.wav",
        ("ANG", "HAP", "SAD", "NEU"),
        ("DFA", "IEO"),
    ),
    "emodb": ("wav/0{speaker}a0{take}{emotion}a.wav", "WFTN", "12"),
    "emovo": ("f{speaker}/{emotion}-f{speaker}-b{take}.wav", ("rab", "gio", "tri", "neu"), "12"),
    "eyase": ("Male0{speaker}_{emotion}_0{take}.wav", ("ang", "hap", "sad", "neu"), "12"),
    "nemo": ("samples/AB{speaker}_{emotion}_{take}.wav", EMOTIONS, "12"),
    "ravdess": (
        "Actor_0{speaker}/03-01-{emotion}-01-01-0{take}-0{speaker}.wav",
        ("05", "03", "04", "01"),
        "12",
    ),
    "shemo": ("male/M0{speaker}{emotion}0{take}.wav", "AHSN", "12"),
    "urdu": ("all/SM{speaker}_F{take}_{emotion}{take}.wav", "AHSN", "12"),
}


@pytest.mark.parametrize("corpus", NAMES)
def test_a_name_gives_speaker_and_emotion(tmp_path: Path, corpus: str) -> None:
    named_folder(tmp_path, [name for name, _, _ in NAMES[corpus]])
    style = Style.SPONTANEOUS if corpus in SPONTANEOUS else Style.ACTED
    sources = [found for found in READERS[corpus](tmp_path) if isinstance(found, Source)]
    assert {(s.name, s.speaker, s.emotion, s.style) for s in sources} == {
        (name, f"{corpus}_{speaker}", emotion, style) for name, speaker, emotion in NAMES[corpus]
    }


@pytest.mark.parametrize("corpus", NAMES)
def test_other_emotions_and_names_are_left_out_by_name(tmp_path: Path, corpus: str) -> None:
    folder = named_folder(tmp_path / "in", [name for name, _, _ in NAMES[corpus]])
    named_folder(folder, ["readme.wav"])
    report = prepare(corpus, folder, tmp_path / "out")
    assert {(one.title, one.reason) for one in report.left_out} == {
        (name, Reason.OTHER_EMOTION) for name, _, e in NAMES[corpus] if e not in EMOTIONS
    } | {("readme.wav", Reason.UNLABELLED)}
    assert Counter(u.emotion for u in report.utterances) == Counter(
        Emotion(emotion) for _, _, emotion in NAMES[corpus] if emotion in EMOTIONS
    )


@pytest.mark.parametrize("corpus", TAKES)
def test_a_prepared_corpus_divides_by_its_speakers(tmp_path: Path, corpus: str) -> None:
    shape, emotions, takes = TAKES[corpus]
    names = [
        shape.format(speaker=speaker, emotion=emotion, take=take)
        for speaker, emotion, take in product(range(6), emotions, takes)
    ]
    channels = 2 if corpus == "emovo" else 1
    folder = named_folder(tmp_path / "in", names, channels)
    utterances = prepare(corpus, folder, tmp_path / "out").utterances
    assert len(utterances) == 48
    for fold in range(5):
        split = speaker_split(utterances, fold, 5, 0)
        parts = [{u.speaker for u in part} for part in (split.train, split.valid, split.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 6
        assert split.without_speakers == ()


@pytest.mark.corpora
def test_real_names_agree_with_the_real_manifests() -> None:
    manifests = {
        path.parent.name: path for path in manifests_in(folders_of(os.environ["KANJO_CORPORA"]))
    }
    assert manifests.keys() & READERS.keys()
    for corpus in sorted(manifests.keys() & READERS.keys()):  # the others have no reader of theirs
        manifest = manifests[corpus]
        known = {
            (u.path, u.speaker, u.emotion.value, u.style, u.language)
            for u in read_manifest(manifest)
        }
        assert known == {
            (found.path, found.speaker, found.emotion, found.style, found.language)
            for found in READERS[corpus](manifest.parent)
            if isinstance(found, Source)
        }
