"""Simulates whole calls as fast as they can be scored, to find the alerts that they would raise.

Bridge, speech gate, windows, network and alert policy are those of a live call. The clock is not:
a simulated call lasts as long as its scoring takes, and no window is late.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydantic import TypeAdapter

from model.artifact import ArtifactMeta, Thresholds
from model.audio import FRAME_SAMPLES
from model.files import atomic_write
from model.labels import Emotion
from model.speech_check_file import shipped_check
from service.alerts.policy import AlertPolicy, AlertRule
from service.calls.windows import WindowCutter
from service.classification import timed_windows
from service.events import AlertState, Audio, Pcm, Reading, Track
from service.scoring.torch_scorer import TorchScorer
from service.telephony.native.bridge import NativeBridge
from service.telephony.native.client import NativeClient
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording


@dataclass(frozen=True, slots=True)
class TimedReading:
    """A reading, and when a live service that scores in no time would have had it."""

    available_s: float  # call time; after the pause that ends a stretch of speech, for its last one
    reading: Reading


# The content of a cached file.
CACHED_READINGS = TypeAdapter(list[TimedReading])
_CACHE_FORMAT = 3  # to be raised when TimedReading or Reading changes, or what cuts windows


class CallSimulator:
    """Simulates calls with one model.

    Only the caller's track, the first, is scored: the bridge drops the agent's, as in a live call.
    The readings of every call stay in the folder `cache` until `clear_cache`, so that an
    interrupted evaluation continues without scoring them again.

    Args:
        model: the artifact.
        cache: folder of the readings of calls that were simulated.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads of the network.
        first_s, hop_s: seconds of speech before the first window of a stretch and between two.
        speech_check: whether windows that are no speech are rejected, as in a live call.
        release_s: seconds below the threshold before an alert resolves.

    Raises:
        ArtifactError: the file is no usable model.
        NoSuchDevice: this machine has no device of this name.
    """

    def __init__(
        self,
        model: Path,
        cache: Path,
        *,
        device: str = "auto",
        threads: int = 1,
        first_s: float | None = None,
        hop_s: float | None = None,
        release_s: float,
        speech_check: bool = True,
    ) -> None:
        self._scorer = TorchScorer.load(model, device, threads)
        self._cache = cache
        self._cached: set[Path] = set()  # files of the calls that were simulated here
        self._serving = self._scorer.meta.serving.override(first_s, hop_s)
        self._release_s = release_s
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        self._check = shipped_check(self.meta.features) if speech_check else None
        times = f"{self._serving.first_s} {self._serving.hop_s}"
        self._key = f"{_CACHE_FORMAT} {digest} {times} {self._check is not None}"

    @property
    def meta(self) -> ArtifactMeta:
        """The metadata of the artifact."""
        return self._scorer.meta

    def play(self, call_id: str, pcm: Pcm) -> list[TimedReading]:
        """Returns all readings of a call, (n, 2) int16 at 8 kHz, sent as G.711 mu-law."""
        key = hashlib.sha256(f"{self._key} {call_id} {pcm.shape}".encode() + pcm.tobytes())
        path = self._cache / f"{key.hexdigest()}.json"
        self._cached.add(path)
        if path.exists():
            return CACHED_READINGS.validate_json(path.read_bytes())
        readings = self._simulate(call_id, pcm)
        self._cache.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(CACHED_READINGS.dump_json(readings))
        return readings

    def clear_cache(self) -> None:
        """Deletes the cached readings of the calls that this simulator has played."""
        for path in self._cached:
            path.unlink(missing_ok=True)
        self._cached.clear()

    def _simulate(self, call_id: str, pcm: Pcm) -> list[TimedReading]:
        cutter = WindowCutter(
            self.meta.features,
            self.meta.gate,
            self._serving.first_s,
            self._serving.hop_s,
            check=self._check,
            embedding=self.meta.embedding,
        )
        windows = list(timed_windows(_caller_audio(call_id, pcm), cutter))
        posteriors = self._scorer.score([window.model_input for window, _ in windows])
        return [
            TimedReading(
                available_s,
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
            for number, ((window, available_s), posterior) in enumerate(
                zip(windows, posteriors, strict=True), 1
            )
        ]

    def fired(
        self,
        readings: Sequence[TimedReading],
        thresholds: Mapping[Emotion, Thresholds],
        hold_s: float,
        smooth_s: float,
    ) -> dict[Emotion, list[float]]:
        """Returns when alerts of each emotion fire, in seconds of the call.

        Args:
            readings: of one call, in their order.
            thresholds: of the emotions that raise alerts.
            hold_s: seconds of speech at or above the threshold before an alert fires.
            smooth_s: seconds of speech over which probabilities are averaged.
        """
        rules = [
            AlertRule(emotion, at.fire_at, at.clear_at, hold_s, self._release_s, smooth_s)
            for emotion, at in thresholds.items()
        ]
        fired: dict[Emotion, list[float]] = {emotion: [] for emotion in thresholds}
        call_id = readings[0].reading.call_id if readings else ""
        policy = AlertPolicy("simulation", call_id, rules)
        for timed in readings:
            for step in policy.update(timed.reading):
                if step.state is AlertState.FIRING:
                    fired[step.emotion].append(timed.available_s)
        return fired


def _caller_audio(call_id: str, pcm: Pcm) -> Iterator[Pcm]:
    """Yields the audio of a call that a bridge lets through: the caller's, through mu-law."""
    bridge = NativeBridge(frozenset({Track.CALLER}))
    recording = Recording(call_id, (Track.CALLER, Track.AGENT), pcm)
    client = NativeClient(call_id, recording, Encoding.MULAW)
    frames = (pcm[start : start + FRAME_SAMPLES] for start in range(0, len(pcm), FRAME_SAMPLES))
    messages = chain(client.start(), *map(client.frame, frames), client.stop())
    for message in messages:
        for event in bridge.receive(message):
            if isinstance(event, Audio):
                assert event.track is Track.CALLER, event.track
                yield event.pcm
