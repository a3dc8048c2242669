"""Prepares a corpus, as it is distributed, for training: `kanjo corpus NAME FOLDER`.

Writes OUT/NAME/manifest.csv and, beside it, every utterance as FLAC: 8 kHz, mono, 16 bits.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from model.audio import SAMPLE_RATE, Pcm, quantised, resample
from model.containers import BadRecording, PartFile, parts
from model.features import FeatureSpec
from model.files import atomic_write
from model.interrupts import KeptInterrupts
from model.labels import EMOTIONS
from model.recording import EmptyRecording, decode_all
from training.corpora import READERS, callcentre, iemocap
from training.corpora.cleaning import BACKCHANNELS, Rules, clean, read_backchannels
from training.corpora.report import PreparationReport
from training.corpora.source import CorpusError, LeftOut, Reason, Source
from training.data.manifest import read_manifest, write_manifest, write_votes
from training.progress import track

LATE_S = 0.1  # an end may be so far after that of the recording: tables round
LEAST_SAMPLES = FeatureSpec().frame_samples
NEUTRAL_CALLS = 2000  # of a call centre (paper section 3.2)


class _Unusable(Exception):
    """An utterance can't be cut out of its recording."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail


def prepare(
    name: str,
    folder: Path,
    out: Path,
    *,
    corpus: str | None = None,
    labels: Path | None = None,
    backchannels: Path | None = None,
    neutral: int | None = None,
    seed: int = 0,
) -> PreparationReport:
    """Reads a corpus with the reader `name`, cleans it and writes it to `out / corpus`.

    Utterances that an earlier call has written are kept, so that an interrupted preparation
    continues.

    Args:
        corpus: the name of the prepared corpus; the default is the reader's name, or the name of
            the folder for the reader `prepared`.
        labels: the table of a call centre's utterances, if it is not the only one in the folder.
        backchannels: a file that replaces the paper's list of backchannels, one a line.
        neutral: number of neutral utterances to draw, with `seed`; None: 2,000 of a call centre,
            all of every other corpus.

    Raises:
        CorpusError: there is no such reader, the folder's layout is not the one that the reader
            expects, or no utterance can be used.
    """
    if name not in READERS:
        raise CorpusError(f"no reader {name!r}, expected one of {', '.join(READERS)}")
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder")
    if labels is not None and name != "callcentre":
        raise CorpusError(f"labels {labels} for {name!r}, expected them only for callcentre")
    if neutral is None and name == "callcentre":
        neutral = NEUTRAL_CALLS
    words = BACKCHANNELS if backchannels is None else read_backchannels(backchannels)
    corpus = corpus or (folder.resolve().name if name == "prepared" else name)
    if Path(corpus).name != corpus or corpus == "..":
        raise CorpusError(f"corpus {corpus!r}, expected the name of one folder")
    target = out / corpus
    if target.resolve().is_relative_to(folder.resolve()):
        raise CorpusError(
            f"{target} lies in the corpus itself, expected another folder to write to"
        )

    # ---- read and clean ----------------------------------------------------------------------
    found = callcentre.read(folder, labels) if name == "callcentre" else READERS[name](folder)
    sources: list[Source] = []
    left_out: list[LeftOut] = []
    for one in found:
        if isinstance(one, Source):
            sources.append(one)
        else:
            left_out.append(one)
    kept, dropped = clean(sources, Rules(words, neutral, seed))
    left_out += dropped
    _all_or_no_speakers(kept)

    # ---- convert -----------------------------------------------------------------------------
    target.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    first_of: dict[bytes, Source] = {}  # by content
    taken: set[str] = set()
    for source in track(kept, f"{corpus}, 8 kHz", len(kept)):
        path = source.flac.as_posix()
        if path in taken:
            left_out.append(source.leave_out(Reason.DUPLICATE, "listed twice"))
            continue
        taken.add(path)
        flac = target / path
        try:
            earlier = read_earlier(source, flac)
            pcm = cut(source) if earlier is None else earlier
        except _Unusable as unusable:
            left_out.append(source.leave_out(unusable.reason, unusable.detail))
            continue
        first = first_of.setdefault(hashlib.sha256(pcm.tobytes()).digest(), source)
        if first is not source:
            detail = f"same sound as {first.title}"
            if first.emotion != source.emotion:
                detail += f", there {first.emotion}, here {source.emotion}"
            left_out.append(source.leave_out(Reason.DUPLICATE, detail))
            continue
        if earlier is None:
            write_flac(flac, pcm)
        rows.append(_row(source, corpus, path, len(pcm)))

    # ---- list and report ---------------------------------------------------------------------
    write_manifest(target / "manifest.csv", rows)
    utterances = tuple(read_manifest(target / "manifest.csv"))
    report = PreparationReport(corpus, utterances, tuple(left_out))
    if name == "iemocap" and dict(report.emotions) != iemocap.EXPECTED:
        counts = [f"{e.value} {report.emotions[e]} of {iemocap.EXPECTED[e]}" for e in EMOTIONS]
        total = f"{len(utterances)} of {sum(iemocap.EXPECTED.values())} utterances"
        report = PreparationReport(
            corpus, utterances, report.left_out, (f"{total}: {', '.join(counts)}",)
        )
    (target / "report.txt").write_text(report.text(), encoding="utf-8")
    if not utterances:
        raise CorpusError(f"{folder}: nothing can be used\n{report.summary()}")
    return report


def read_earlier(source: Source, flac: Path) -> Pcm | None:
    """Returns the utterance (n,) that an earlier call wrote.

    Returns None if there is none, it is damaged, or its source is newer.
    """
    if not flac.is_file() or not source.path.is_file():
        return None
    if flac.stat().st_mtime < source.path.stat().st_mtime:
        return None
    try:
        pcm: Pcm = soundfile.read(flac, dtype="int16")[0]
    except soundfile.LibsndfileError:
        return None
    return pcm


def write_flac(flac: Path, pcm: Pcm) -> None:
    """Writes one utterance (n,), whole or not at all."""
    flac.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(flac) as unfinished:
        soundfile.write(unfinished, pcm, SAMPLE_RATE, subtype="PCM_16", format="FLAC")


def cut(source: Source) -> Pcm:
    """Reads the utterance (n,) from its recording, at 8 kHz.

    Raises:
        _Unusable: the recording is missing or damaged, or does not hold the utterance.
    """
    if not source.path.is_file():
        raise _Unusable(Reason.UNREADABLE, "no such file")
    try:
        with source.path.open("rb") as file:
            pcm = _stretch(file, source)  # (n, channels)
    except soundfile.LibsndfileError as error:
        raise _Unusable(Reason.UNREADABLE, str(error)) from error
    except EmptyRecording as error:
        raise _Unusable(Reason.EMPTY, str(error)) from error
    except (OSError, BadRecording) as error:
        raise _Unusable(Reason.UNREADABLE, str(error)) from error
    channels = pcm.shape[1]
    if source.channel is None and channels != 1:
        raise _Unusable(Reason.CHANNEL, f"{channels} channels, expected one or a channel number")
    channel = source.channel or 0
    if channel >= channels:
        raise _Unusable(Reason.CHANNEL, f"{channels} channels, expected channel {channel}")
    voice: Pcm = np.ascontiguousarray(pcm[:, channel])
    if len(voice) < LEAST_SAMPLES:
        detail = f"{len(voice)} samples at 8 kHz, expected {LEAST_SAMPLES} or more"
        raise _Unusable(Reason.EMPTY, detail)
    if not voice.any():
        raise _Unusable(Reason.EMPTY, "digital silence")
    return voice


def _stretch(file: BinaryIO, source: Source) -> Pcm:
    """Reads the source's stretch of a recording (n, channels), or all of it, at 8 kHz."""
    if source.start_s is None or source.end_s is None:
        return decode_all(file)
    found = parts(file)
    if len(found) != 1:
        raise BadRecording(f"{len(found)} joined recordings", "one that times can be looked up in")
    with KeptInterrupts(), soundfile.SoundFile(PartFile(file, found[0])) as sound:
        rate = sound.samplerate
        first, last = round(source.start_s * rate), round(source.end_s * rate)
        if first >= min(last, sound.frames) or last > sound.frames + LATE_S * rate:
            detail = f"the recording has {sound.frames / rate:.3f} s"
            raise _Unusable(Reason.OUTSIDE, detail)
        sound.seek(first)
        samples = sound.read(last - first, dtype="float32", always_2d=True)
    if not np.isfinite(samples).all():
        raise BadRecording("samples that are not finite", "numbers from -1 to 1")
    voices = quantised(samples)
    return np.stack([resample(voices[:, i], rate) for i in range(voices.shape[1])], axis=1)


def _all_or_no_speakers(sources: Sequence[Source]) -> None:
    named = next((source for source in sources if source.speaker), None)
    nameless = next((source for source in sources if not source.speaker), None)
    if named and nameless:
        raise CorpusError(
            f"{nameless.title}: no speaker, but {named.title} has one, expected one for all or none"
        )


def _row(source: Source, corpus: str, path: str, samples: int) -> dict[str, str]:
    return {
        "path": path,
        "corpus": corpus,
        "style": source.style.value,
        "language": source.language,
        "speaker": source.speaker,
        "session": source.session,
        "recording": source.recording,
        "emotion": source.emotion,
        "original_emotion": source.original_emotion,
        "duration_s": f"{samples / SAMPLE_RATE:.3f}",
        "votes": source.listeners or write_votes(source.votes),
    }
