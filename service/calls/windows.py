"""Which stretch of a voice is scored when: cut as in training, but while the voice speaks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.audio import SAMPLE_RATE, Pcm
from model.features import FeatureSpec, Frames, LogMelStream
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, SpeechGate, Stretch
from model.speaker_baseline import ModelInput, SpeakerBaseline

# The gate opens on blips of 0.3 to 0.5 s; so little says nothing about a voice.
SHORTEST_S = 0.5
# Frames reach 2 hops beyond their own: those wholly within hops [start, end) end 2 earlier.
FRAME_OVERHANG = 2
# What tells of a caller's own voice: no less than a second, and of a long stretch so much at once,
# about as long as the utterances of the training.
REMEMBERED_S = (1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of speech, or its last 7.5 s."""

    start_s: float
    end_s: float
    heard_s: float  # of it, not in the window before
    model_input: ModelInput  # against what the caller said before its start


class WindowCutter:
    """One track's samples to windows.

    The first window of a stretch of speech comes after `first_s`, the next after every `hop_s` of
    it, the last when it ends. `gate` None takes everything for speech. What is said becomes part of
    what is known of the `caller`'s own voice once no window of the present stretch holds it.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        gate: GateSpec | None,
        first_s: float,
        hop_s: float,
        baseline: SpeakerBaseline | None = None,
    ) -> None:
        self._spec = spec
        self._baseline = baseline or SpeakerBaseline(spec)
        self._gate_spec = gate
        self._first_hops = round(first_s / HOP_S)
        self.hop_s = hop_s  # may be changed while it runs
        self.speech_s = 0.0  # in stretches that are over or were read up to here
        self._origin = 0  # the sample at which the streams below began
        self._reset()

    def _reset(self) -> None:
        self._samples = 0  # since the origin
        self._gate = SpeechGate(self._gate_spec) if self._gate_spec else _OpenGate()
        self._mel = LogMelStream(self._spec)
        # The last window of a stretch is cut close_s late, and reaches back 7.5 s from its end.
        # What has left it by then, and is remembered, is as much again at most.
        close_frames = round(self._gate_spec.close_s / HOP_S) if self._gate_spec else 0
        kept = 2 * self._spec.window_frames + close_frames
        self._recent = _Recent(kept, self._spec.n_features)
        self._stretch: Stretch | None = None
        self._cut_to = 0  # hop up to which the stretch has been in a window
        self._remembered_to = 0  # hop up to which the caller's voice is known
        self._due = 0  # hop at which the next window is due

    @property
    def position_s(self) -> float:
        """How much of the track has gone by."""
        return (self._origin + self._samples) / SAMPLE_RATE

    @property
    def speaking(self) -> bool:
        return self._stretch is not None

    def feed(self, pcm: Pcm) -> list[Window]:
        """The next samples, int16 (n,) at 8 kHz; at most a second or so at a time."""
        self._samples += len(pcm)
        self._recent.extend(self._mel.feed(pcm))
        return [window for stretch in self._gate.feed(pcm) for window in self._hear(stretch)]

    def skip(self, samples: int) -> list[Window]:
        """So many samples never came: the stretch ends, time goes on."""
        windows = self.end()
        self._origin += self._samples + samples
        self._reset()
        return windows

    def end(self) -> list[Window]:
        """Nothing more comes: the last window, if speech was under way."""
        return list(self._hear(None))

    def _hear(self, now: Stretch | None) -> Iterator[Window]:
        before = self._stretch
        if before and (now is None or now.start != before.start):
            # Over. What was heard since the last window is the last window's.
            if before.end > self._cut_to and before.end - before.start >= SHORTEST_S / HOP_S:
                yield self._cut(before)
            self._remember(before.end - FRAME_OVERHANG, REMEMBERED_S[0])
            self._stretch = None
        if now and now.end - now.start > FRAME_OVERHANG:
            if self._stretch is None:
                self._cut_to, self._due = now.start, now.start + self._first_hops
                self._remembered_to = now.start
            self._stretch = now
            if now.end >= self._due:
                yield self._cut(now)
                self._due = now.end + round(self.hop_s / HOP_S)

    def _cut(self, stretch: Stretch) -> Window:
        self._recent.extend(self._mel.flush())
        last = stretch.end - FRAME_OVERHANG
        first = max(stretch.start, last - self._spec.window_frames)
        self._remember(first, REMEMBERED_S[1])
        heard_s = (stretch.end - self._cut_to) * HOP_S
        self.speech_s += heard_s
        self._cut_to = stretch.end
        began_s = self._origin / SAMPLE_RATE
        return Window(
            start_s=began_s + first * HOP_S,
            end_s=began_s + stretch.end * HOP_S,
            heard_s=heard_s,
            model_input=self._baseline.features(self._recent.between(first, last)),
        )

    def _remember(self, last: int, least_s: float) -> None:
        """What was said up to a hop is past, if that is long enough to tell anything."""
        first = max(self._remembered_to, last - self._spec.window_frames)
        if last - first >= least_s / HOP_S:
            self._recent.extend(self._mel.flush())
            self._baseline.update(self._recent.between(first, last))
            self._remembered_to = last


class _OpenGate:
    """Takes everything for one stretch of speech."""

    def __init__(self) -> None:
        self._samples = 0

    def feed(self, pcm: Pcm) -> list[Stretch | None]:
        before = self._samples // HOP_SAMPLES
        self._samples += len(pcm)
        return [Stretch(0, hop + 1) for hop in range(before, self._samples // HOP_SAMPLES)]


class _Recent:
    """The last frames of a stream, found by their number."""

    def __init__(self, least: int, channels: int) -> None:
        self._least = least  # frames that are kept for sure
        self._frames = np.empty((2 * least + 200, channels), np.float32)
        self._first = 0  # the number of the first one here
        self._count = 0

    def extend(self, frames: Frames) -> None:
        if self._count + len(frames) > len(self._frames):
            kept = min(self._least, self._count)
            self._frames[:kept] = self._frames[self._count - kept : self._count]
            self._first += self._count - kept
            self._count = kept
        assert self._count + len(frames) <= len(self._frames), (self._count, len(frames))
        self._frames[self._count : self._count + len(frames)] = frames
        self._count += len(frames)

    def between(self, first: int, last: int) -> Frames:
        """Frames [first, last), a copy."""
        assert self._first <= first < last <= self._first + self._count, (first, last)
        return self._frames[first - self._first : last - self._first].copy()
