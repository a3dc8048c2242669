"""Reports a preparation: what is kept of a corpus, and all that is left out, with the reason."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from model.labels import EMOTIONS, Emotion
from training.corpora.source import LeftOut, Reason
from training.data.manifest import Utterance

EXAMPLES = 3  # of each reason, on the terminal; the report's file has all


@dataclass(frozen=True, slots=True)
class PreparationReport:
    """The result of preparing one corpus."""

    corpus: str
    utterances: tuple[Utterance, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...] = ()

    @property
    def emotions(self) -> Counter[Emotion]:
        """The number of utterances kept of each emotion."""
        return Counter(u.emotion for u in self.utterances)

    @property
    def reasons(self) -> Counter[Reason]:
        """The number of utterances or files left out for each reason."""
        return Counter(one.reason for one in self.left_out)

    def summary(self, examples: int = EXAMPLES) -> str:
        """Returns the counts, and of each reason the first that are left out for it."""
        hours = sum(u.duration_s for u in self.utterances) / 3600
        speakers = {u.speaker for u in self.utterances} - {""}
        voices = f"{len(speakers)} speakers" if speakers else "speakers not known"
        lines = [f"{self.corpus}: {len(self.utterances)} utterances, {voices}, {hours:.2f} hours"]
        lines += [f"  {emotion.value:<24}{self.emotions[emotion]:>7}" for emotion in EMOTIONS]
        lines.append(f"left out: {len(self.left_out)}")
        for reason, count in self.reasons.most_common():
            lines.append(f"  {reason.value:<24}{count:>7}")
            first = [one for one in self.left_out if one.reason == reason][:examples]
            lines += [f"    such as {one.sentence}" for one in first]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def text(self) -> str:
        """Returns the summary, the counts of every speaker and all that is left out."""
        return "\n".join([self.summary(0), "", *self._speakers(), *self._left_out()]) + "\n"

    def _speakers(self) -> Iterator[str]:
        counts = Counter((u.speaker, u.emotion) for u in self.utterances)
        if speakers := sorted({speaker for speaker, _ in counts} - {""}):
            yield f"{'speaker':<24}" + "".join(f"{emotion.value:>11}" for emotion in EMOTIONS)
            for speaker in speakers:
                yield f"{speaker:<24}" + "".join(f"{counts[speaker, e]:>11}" for e in EMOTIONS)
            yield ""

    def _left_out(self) -> Iterator[str]:
        for reason in self.reasons:
            yield f"{reason.value}:"
            for one in self.left_out:
                if one.reason == reason:
                    yield f"  {one.sentence}"
