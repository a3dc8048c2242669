"""Cuts a track into windows: the same stretches of speech as in training, while they last."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.audio import SAMPLE_RATE, Pcm
from model.features import FeatureSpec, Frames, LogMelStream
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, SpeechGate, Stretch
from model.speaker_baseline import ModelInput, SpeakerBaseline
from model.speech_check import SpeechCheck

# The gate opens on blips of 0.3 to 0.5 s, which are too short to judge a voice by.
SHORTEST_S = 0.5
# A log-mel frame reaches 2 hops beyond its own, so the frames that lie wholly within the hops
# [start, end) are those of [start, end - 2).
FRAME_OVERHANG = 2
# The speaker baseline is made of utterances as in training: of a stretch at least this much at its
# end, and during a long stretch this much at a time.
BASELINE_UTTERANCE_S = (1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of speech up to now, or its last 7.5 s; times are call time."""

    start_s: float
    end_s: float
    heard_s: float  # of its speech, that no earlier window of the track covered
    model_input: ModelInput  # with the speaker baseline as it was before `start_s`


class WindowCutter:
    """Cuts the samples of one track into windows.

    The first window of a stretch of speech ends after `first_s`, the next ones every `hop_s` of
    speech, the last one with the stretch. Speech is added to `baseline` once no later window
    contains it. What passed the gate and is none of speech, such as music, gives no window and is
    not added to `baseline` (`model.speech_check`).

    Args:
        spec: of the frames.
        gate: finds the stretches of speech; None takes all audio for one stretch.
        first_s, hop_s: seconds of speech.
        baseline: of the track's speaker; a new one if None.
        check: rejects windows that are no speech; None accepts all.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        gate: GateSpec | None,
        first_s: float,
        hop_s: float,
        baseline: SpeakerBaseline | None = None,
        check: SpeechCheck | None = None,
    ) -> None:
        self._spec = spec
        self._baseline = baseline or SpeakerBaseline(spec)
        self._gate_spec = gate
        self._check = check
        self.rejected = 0  # windows that were no speech
        self._is_rejecting = False  # whether the latest window was none of speech
        self._first_hops = round(first_s / HOP_S)
        self.hop_s = hop_s  # may be changed at any time; counts from the next window
        self.speech_s = 0.0  # seconds of speech that are in windows so far
        self._origin = 0  # the sample of the track at which gate and features were last reset
        self._reset()

    def _reset(self) -> None:
        self._samples = 0  # since the origin
        self._gate = SpeechGate(self._gate_spec) if self._gate_spec else _OpenGate()
        self._mel = LogMelStream(self._spec)
        # The last window of a stretch is cut close_s late and reaches back 7.5 s from its end. What
        # has left that window by then and goes into the baseline is at most as much again.
        close_frames = round(self._gate_spec.close_s / HOP_S) if self._gate_spec else 0
        kept = 2 * self._spec.window_frames + close_frames
        self._recent = _RecentFrames(kept, self._spec.n_features)
        self._stretch: Stretch | None = None
        self._cut_to = 0  # hop up to which the stretch is in windows
        self._baseline_to = 0  # hop up to which the stretch is in the baseline
        self._due = 0  # hop at which the next window is due

    @property
    def position_s(self) -> float:
        """Seconds of the track that have been fed or skipped."""
        return (self._origin + self._samples) / SAMPLE_RATE

    @property
    def speaking(self) -> bool:
        """Whether a stretch of speech is under way."""
        return self._stretch is not None and not self._is_rejecting

    def feed(self, pcm: Pcm) -> list[Window]:
        """Returns the windows that the next samples complete: (n,) int16 at 8 kHz, 1 s or so."""
        self._samples += len(pcm)
        self._recent.extend(self._mel.feed(pcm))
        return [window for stretch in self._gate.feed(pcm) for window in self._advance(stretch)]

    def skip(self, samples: int) -> list[Window]:
        """Ends the stretch and moves on by samples that are missing; returns its last window."""
        windows = self.end()
        self._origin += self._samples + samples
        self._reset()
        return windows

    def end(self) -> list[Window]:
        """Ends the stretch of speech, if one is under way; returns its last window."""
        return list(self._advance(None))

    def _advance(self, now: Stretch | None) -> Iterator[Window]:
        before = self._stretch
        if before and (now is None or now.start != before.start):
            # The stretch is over; its last window has what no earlier one covered.
            if before.end > self._cut_to and before.end - before.start >= SHORTEST_S / HOP_S:
                yield from self._cut(before)
            self._update_baseline(before.end - FRAME_OVERHANG, BASELINE_UTTERANCE_S[0])
            self._stretch = None
            self._is_rejecting = False
        if now and now.end - now.start > FRAME_OVERHANG:
            if self._stretch is None:
                self._cut_to, self._due = now.start, now.start + self._first_hops
                self._baseline_to = now.start
            self._stretch = now
            if now.end >= self._due:
                yield from self._cut(now)
                self._due = now.end + round(self.hop_s / HOP_S)

    def _cut(self, stretch: Stretch) -> Iterator[Window]:
        """Yields the window that ends with the stretch, or nothing if it is no speech."""
        self._recent.extend(self._mel.flush())
        last = stretch.end - FRAME_OVERHANG
        first = max(stretch.start, last - self._spec.window_frames)
        self._update_baseline(first, BASELINE_UTTERANCE_S[1])
        heard_s = (stretch.end - self._cut_to) * HOP_S
        self._cut_to = stretch.end
        model_input = self._baseline.features(self._recent.between(first, last))
        check = self._check
        self._is_rejecting = check is not None and not check.accepts(model_input.functionals)
        if self._is_rejecting:
            self.rejected += 1
            return
        self.speech_s += heard_s
        origin_s = self._origin / SAMPLE_RATE
        yield Window(
            start_s=origin_s + first * HOP_S,
            end_s=origin_s + stretch.end * HOP_S,
            heard_s=heard_s,
            model_input=model_input,
        )

    def _update_baseline(self, last: int, least_s: float) -> None:
        """Adds the stretch up to hop `last` to the baseline if it is at least `least_s` long."""
        first = max(self._baseline_to, last - self._spec.window_frames)
        if last - first >= least_s / HOP_S:
            self._recent.extend(self._mel.flush())
            self._baseline.update(self._recent.between(first, last), self._check)
            self._baseline_to = last


class _OpenGate:
    """Takes all audio for one stretch of speech."""

    def __init__(self) -> None:
        self._samples = 0

    def feed(self, pcm: Pcm) -> list[Stretch | None]:
        before = self._samples // HOP_SAMPLES
        self._samples += len(pcm)
        return [Stretch(0, hop + 1) for hop in range(before, self._samples // HOP_SAMPLES)]


class _RecentFrames:
    """The latest frames of a track, by their number since the last reset."""

    def __init__(self, least: int, width: int) -> None:
        self._least = least  # frames that are always kept
        self._frames = np.empty((2 * least + 200, width), np.float32)
        self._first = 0  # the number of the first frame here
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
        """Returns a copy of the frames [first, last)."""
        assert self._first <= first < last <= self._first + self._count, (first, last)
        return self._frames[first - self._first : last - self._first].copy()
