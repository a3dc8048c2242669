"""Plays whole calls at what the service is made of, as fast as that goes, to see what it alerts to.

Bridge, gate, windows, network and alert policy are those of a live call; only the clock is not:
a call lasts as long as its scoring, and no window is ever late.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydantic import TypeAdapter

from model.artifact import ArtifactMeta, Thresholds
from model.audio import SAMPLE_RATE
from model.labels import Emotion
from service.alerts.policy import AlertPolicy, AlertRule
from service.calls.windows import WindowCutter
from service.classification import cut_pieces
from service.events import AlertState, Audio, Pcm, Reading, Track
from service.scoring.torch_scorer import TorchScorer
from service.telephony.native.bridge import NativeBridge
from service.telephony.native.client import NativeClient
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

FRAME_SAMPLES = SAMPLE_RATE // 50  # 20 ms, as telephony sends them


@dataclass(frozen=True, slots=True)
class TimedReading:
    """A reading, and when a live service could have told it, were scoring to take no time."""

    told_s: float  # call time; the last window of a stretch of speech comes after the pause
    reading: Reading


_TOLD = TypeAdapter(list[TimedReading])


class CallSimulator:
    """One model on stage.

    Only the caller's track, the first, is heard: the bridge drops the agent's, as it does live.
    The readings of every call are kept in a folder until `forget`, so that whoever was interrupted
    goes on where they were.

    Raises:
        ArtifactError: the file is no usable model.
        NoSuchDevice: this machine has none of this name.
    """

    def __init__(
        self,
        model: Path,
        keep_in: Path,
        *,
        device: str = "auto",
        threads: int = 1,
        first_s: float,
        hop_s: float,
        release_s: float,
    ) -> None:
        self._scorer = TorchScorer.load(model, device, threads)
        self._keep_in = keep_in
        self._kept: set[Path] = set()
        self._first_s = first_s
        self._hop_s = hop_s
        self._release_s = release_s
        self._key = f"{hashlib.sha256(model.read_bytes()).hexdigest()} {first_s} {hop_s}"

    @property
    def meta(self) -> ArtifactMeta:
        return self._scorer.meta

    def play(self, call_id: str, pcm: Pcm) -> list[TimedReading]:
        """All readings of a call, (n, 2) int16 at 8 kHz, which travels as G.711 mu-law."""
        key = hashlib.sha256(f"{self._key} {call_id} {pcm.shape}".encode() + pcm.tobytes())
        path = self._keep_in / f"{key.hexdigest()}.json"
        self._kept.add(path)
        if path.exists():
            return _TOLD.validate_json(path.read_bytes())
        heard = self._listen(call_id, pcm)
        self._keep_in.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(_TOLD.dump_json(heard))
        os.replace(unfinished, path)
        return heard

    def forget(self) -> None:
        """All has been told: what was kept of the calls that were played goes."""
        for path in self._kept:
            path.unlink(missing_ok=True)
        self._kept.clear()

    def _listen(self, call_id: str, pcm: Pcm) -> list[TimedReading]:
        cutter = WindowCutter(self.meta.features, self.meta.gate, self._first_s, self._hop_s)
        cuts = list(cut_pieces(_caller(call_id, pcm), cutter))
        posteriors = self._scorer.score([window.model_input for window, _ in cuts])
        return [
            TimedReading(
                told_s,
                Reading(
                    call_id=call_id,
                    number=number,
                    track=Track.CALLER,
                    start_s=window.start_s,
                    end_s=window.end_s,
                    heard_s=window.heard_s,
                    probabilities=posterior.emotion,
                ),
            )
            for number, ((window, told_s), posterior) in enumerate(
                zip(cuts, posteriors, strict=True), 1
            )
        ]

    def fired(
        self,
        heard: list[TimedReading],
        thresholds: Mapping[Emotion, Thresholds],
        hold_s: float,
        smooth_s: float,
    ) -> dict[Emotion, list[float]]:
        """When alerts of each emotion would have been told, in seconds of the call."""
        rules = [
            AlertRule(emotion, at.fire_at, at.clear_at, hold_s, self._release_s, smooth_s)
            for emotion, at in thresholds.items()
        ]
        told: dict[Emotion, list[float]] = {emotion: [] for emotion in thresholds}
        policy = AlertPolicy("rehearsal", heard[0].reading.call_id if heard else "", rules)
        for one in heard:
            for step in policy.update(one.reading):
                if step.state is AlertState.FIRING:
                    told[step.emotion].append(one.told_s)
        return told


def _caller(call_id: str, pcm: Pcm) -> Iterator[Pcm]:
    """What a bridge lets through of a call."""
    bridge = NativeBridge(frozenset({Track.CALLER}))
    recording = Recording(call_id, (Track.CALLER, Track.AGENT), pcm)
    dialect = NativeClient(call_id, recording, Encoding.MULAW)
    frames = (pcm[start : start + FRAME_SAMPLES] for start in range(0, len(pcm), FRAME_SAMPLES))
    messages = chain(dialect.start(), *map(dialect.frame, frames), dialect.stop())
    for message in messages:
        for event in bridge.receive(message):
            if isinstance(event, Audio):
                assert event.track is Track.CALLER, event.track
                yield event.pcm
