"""Cuts a track into windows: the same stretches of speech as in training, while they last."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.audio import SAMPLE_RATE, Pcm
from model.chunked_input import WindowInput
from model.embedding import EmbeddingSpec
from model.embedding_baseline import TrackBaseline, new_baseline
from model.features import FeatureSpec, LogMelStream
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, SpeechGate, Stretch
from model.speech_check import SpeechCheck
from service.calls.chunks import FRAME_OVERHANG, AnyHop, ChunkGrid, WindowGrid
from service.calls.recent import Recent

# The gate opens on blips of 0.3 to 0.5 s, which are too short to judge a voice by.
SHORTEST_S = 0.5
# The speaker baseline is made of utterances as in training: of a stretch at least this much at its
# end, and during a long stretch this much at a time.
BASELINE_UTTERANCE_S = (1.0, 3.0)
SPARE_FRAMES = 200  # that may come in at once


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of speech up to now, or its last 7.5 s; times are call time."""

    start_s: float
    end_s: float
    heard_s: float  # of its speech, that no earlier window of the track covered
    model_input: WindowInput  # with the speaker baseline as it was before `start_s`


class WindowCutter:
    """Cuts the samples of one track into windows.

    The first window of a stretch of speech ends after `first_s`, the next ones every `hop_s` of
    speech, the last one with the stretch. Speech is added to `baseline` once no later window
    contains it. What passed the gate and is none of speech, such as music, gives no window and is
    not added to `baseline` (`model.speech_check`).

    The windows of a model with an encoder are made of chunks (`ChunkGrid`): they end with the first
    chunk at or after those times.

    Args:
        spec: of the frames.
        gate: finds the stretches of speech; None takes all audio for one stretch.
        first_s, hop_s: seconds of speech.
        baseline: of the track's speaker; a new one if None.
        check: rejects windows that are no speech; None accepts all.
        embedding: of a model with an encoder; None is a model on the frames.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        gate: GateSpec | None,
        first_s: float,
        hop_s: float,
        baseline: TrackBaseline | None = None,
        check: SpeechCheck | None = None,
        embedding: EmbeddingSpec | None = None,
    ) -> None:
        self._spec = spec
        self._embedding = embedding
        self._baseline = baseline or new_baseline(spec, embedding)
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
        self._grid: WindowGrid = (
            ChunkGrid(self._embedding, self._gate_spec) if self._embedding else AnyHop(self._spec)
        )
        # The last window of a stretch is cut close_s late and reaches back 7.5 s from its end. What
        # has left that window by then and goes into the baseline is at most as much again.
        close_frames = round(self._gate_spec.close_s / HOP_S) if self._gate_spec else 0
        kept = 2 * self._spec.window_frames + close_frames
        self._recent = Recent(kept, SPARE_FRAMES, (self._spec.n_features,), np.float32)
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
        self._grid.feed(pcm)
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
                self._grid.finish(before.end)
                yield from self._cut(before.end)
            self._update_baseline(before.end - FRAME_OVERHANG, BASELINE_UTTERANCE_S[0])
            self._stretch = None
            self._is_rejecting = False
        if now and now.end - now.start > FRAME_OVERHANG:
            if self._stretch is None:
                self._grid.begin(now.start)
                self._cut_to = self._baseline_to = now.start
                self._due = self._grid.due(now.start + self._first_hops)
            self._stretch = now
            end = self._grid.advance(now.end)
            if end >= self._due:
                yield from self._cut(end)
                self._due = self._grid.due(end + round(self.hop_s / HOP_S))

    def _cut(self, end: int) -> Iterator[Window]:
        """Yields the window of the stretch that ends at a hop, or nothing if it is no speech."""
        self._recent.extend(self._mel.flush())
        first, last = self._grid.window_start(end), end - FRAME_OVERHANG
        self._update_baseline(first, BASELINE_UTTERANCE_S[1])
        heard_s = (end - self._cut_to) * HOP_S
        self._cut_to = end
        frames = self._recent.between(first, last)
        model_input = self._baseline.features(frames, self._grid.chunks(first, end))
        check = self._check
        self._is_rejecting = check is not None and not check.accepts(model_input.functionals)
        if self._is_rejecting:
            self.rejected += 1
            return
        self.speech_s += heard_s
        origin_s = self._origin / SAMPLE_RATE
        yield Window(
            start_s=origin_s + first * HOP_S,
            end_s=origin_s + end * HOP_S,
            heard_s=heard_s,
            model_input=model_input,
        )

    def _update_baseline(self, last: int, least_s: float) -> None:
        """Adds the stretch up to hop `last` to the baseline if it is at least `least_s` long."""
        first = max(self._baseline_to, last - self._spec.window_frames)
        if last - first >= least_s / HOP_S:
            self._recent.extend(self._mel.flush())
            frames, chunks = self._recent.between(first, last), self._grid.chunks(first, last)
            self._baseline.update(frames, self._check, chunks)
            self._baseline_to = last


class _OpenGate:
    """Takes all audio for one stretch of speech."""

    def __init__(self) -> None:
        self._samples = 0

    def feed(self, pcm: Pcm) -> list[Stretch | None]:
        before = self._samples // HOP_SAMPLES
        self._samples += len(pcm)
        return [Stretch(0, hop + 1) for hop in range(before, self._samples // HOP_SAMPLES)]
