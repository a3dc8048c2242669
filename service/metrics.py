"""The metrics at /metrics; every service of a process has a registry of its own."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from model.labels import ALERTED_EMOTIONS
from service.errors import CallExists, NotStarted, Overloaded, Stopping
from service.events import AlertState, Track

START_REFUSED = "StartRefused"  # by the bridge: no call came of the connection
REFUSALS = (
    *(refusal.__name__ for refusal in (CallExists, NotStarted, Overloaded, Stopping)),
    START_REFUSED,
)
DROP_REASONS = ("queue_full", "too_late", "stopped", "failed")  # by the batcher
UNUSABLE_REASONS = ("dropped", "noise")  # of streams, by calls/audio_watch.py
HUNG_UP = "hung_up"  # a call ended before its windows were scored
LATENESS_BUCKETS_S = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
# Of speech to reading, where the pause of 0.6 s that ends a stretch is contained: fine up to the
# second within which a reading is promised.
SPEECH_LATENESS_BUCKETS_S = (
    *(0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0),
    *(1.1, 1.25, 1.5, 2.0, 3.0, 5.0),
)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class FunctionCounter(Collector):
    """A counter whose value is kept elsewhere and read at each scrape; it must never fall."""

    def __init__(self, name: str, documentation: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._value: Callable[[], float] = lambda: 0
        registry.register(self)

    def set_function(self, value: Callable[[], float]) -> None:
        """Sets the function that returns the value."""
        self._value = value

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yields the counter with its present value."""
        yield CounterMetricFamily(self._name, self._documentation, value=self._value())


class Metrics:
    """The counters, gauges and histograms of one service.

    `app` gives a function to those that show a value kept elsewhere.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # process_resident_memory_bytes, process_open_fds, ...
        self.build = Info(
            "kanjo_build", "Versions of the service and of its model.", registry=registry
        )
        self.max_calls = Gauge(
            "kanjo_max_calls", "Live calls that the service accepts at most.", registry=registry
        )
        self.calls_started = Counter(
            "kanjo_calls_started",
            "Calls that the service accepted.",
            ["provider"],
            registry=registry,
        )
        self.calls_refused = Counter(
            "kanjo_calls_refused",
            "Calls that the service refused, by the type of the error.",
            ["provider", "reason"],
            registry=registry,
        )
        self.handshakes_rejected = Counter(
            "kanjo_handshakes_rejected",
            "Connections that were rejected because their credentials are missing or wrong.",
            ["provider", "reason"],
            registry=registry,
        )
        self.message_errors = Counter(
            "kanjo_message_errors",
            "Errors in messages of providers, added when their connection ends.",
            ["provider", "code"],
            registry=registry,
        )
        self.unusable_streams = Counter(
            "kanjo_unusable_streams",
            "Live streams whose audio could not be analysed: all dropped, or noise at full level.",
            ["provider", "reason"],
            registry=registry,
        )
        self.live_calls = Gauge(
            "kanjo_live_calls", "Calls that are live in this process.", registry=registry
        )
        self.connection_failures = Counter(
            "kanjo_connection_failures",
            "Connections that ended because the service's own code raised.",
            registry=registry,
        )
        self.readings = Counter(
            "kanjo_readings", "Windows that were scored.", ["track"], registry=registry
        )
        self.windows_dropped = Counter(
            "kanjo_windows_dropped",
            "Windows that were dropped before they were scored.",
            ["reason"],
            registry=registry,
        )
        self.concealed_seconds = Counter(
            "kanjo_concealed_audio_seconds",
            "Seconds of lost audio that loss concealment replaced.",
            registry=registry,
        )
        self.windows_rejected = Counter(
            "kanjo_windows_not_speech",
            "Windows that passed the speech gate and were no speech: music, tones, noise.",
            registry=registry,
        )
        self.batch_windows = Histogram(
            "kanjo_batch_windows",
            "Windows that were scored in one batch.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.scoring_seconds = Histogram(
            "kanjo_scoring_duration_seconds",
            "Seconds that the scoring of one batch took.",
            buckets=LATENESS_BUCKETS_S,
            registry=registry,
        )
        self.reading_lateness = Histogram(
            "kanjo_reading_lateness_seconds",
            "Seconds from the arrival of a window's last sample to its reading.",
            buckets=LATENESS_BUCKETS_S,
            registry=registry,
        )
        self.speech_lateness = Histogram(
            "kanjo_speech_lateness_seconds",
            "Seconds from the end of a window's speech to its reading, as the call's audio came.",
            buckets=SPEECH_LATENESS_BUCKETS_S,
            registry=registry,
        )
        self.alert_transitions = Counter(
            "kanjo_alert_transitions",
            "Transitions of alerts into a state.",
            ["emotion", "state"],
            registry=registry,
        )
        self.queued_windows = Gauge(
            "kanjo_queued_windows", "Windows that are queued to be scored.", registry=registry
        )
        self.outbox_pending = Gauge(
            "kanjo_outbox_pending_writes", "Writes that Redis has not received.", registry=registry
        )
        self.outbox_dropped = FunctionCounter(
            "kanjo_outbox_dropped_readings",
            "Readings that were discarded because memory or outbox were full.",
            registry,
        )
        self.outbox_rejected = FunctionCounter(
            "kanjo_outbox_rejected_writes",
            "Other writes that were discarded: no room, or Redis can never apply them.",
            registry,
        )
        self.superseded_readings = FunctionCounter(
            "kanjo_superseded_readings",
            "Readings that were not kept because another session has the same call id.",
            registry,
        )
        self.oldest_pending_write = Gauge(
            "kanjo_oldest_pending_write_seconds",
            "Seconds that the oldest write that Redis has not received has waited; 0 without one.",
            registry=registry,
        )
        self.dead_letters = Gauge(
            "kanjo_outbox_dead_letters",
            "Writes that Redis can never apply and that are kept for a look.",
            registry=registry,
        )
        self.outbox_failing = Gauge(
            "kanjo_outbox_failing",
            "1 if the outbox's disk takes no writes, so that Redis and memory alone keep them.",
            registry=registry,
        )
        self.alerts_sent_unkept = Counter(
            "kanjo_alerts_sent_unkept",
            "Steps of alerts that were sent to the provider before Redis or the disk had them.",
            registry=registry,
        )
        self.webhook_attempts = Counter(
            "kanjo_webhook_deliveries",
            "Attempts to deliver notices to receivers, and notices that were given up.",
            ["receiver", "result"],
            registry=registry,
        )
        self.webhooks_waiting = Gauge(
            "kanjo_webhooks_waiting", "Notices that have not arrived yet.", registry=registry
        )
        self.webhook_dead_letters = Gauge(
            "kanjo_webhook_dead_letters",
            "Notices that were given up and can be sent again.",
            registry=registry,
        )
        self.problems = Gauge(
            "kanjo_problems", "Problems of the store, which /readyz names.", registry=registry
        )
        self.redis_up = Gauge(
            "kanjo_redis_up", "1 if Redis took writes last time, else 0.", registry=registry
        )
        self.tasks = Gauge(
            "kanjo_asyncio_tasks", "Tasks of the event loop that are not done.", registry=registry
        )
        self._begin_at_zero()

    def begin_provider(
        self, provider: str, rejections: Iterable[str], problems: Iterable[str]
    ) -> None:
        """Makes the counters of a provider appear at zero, with all their labels.

        Args:
            provider: its name.
            rejections: the reasons for which its handshakes may be rejected.
            problems: the codes of what may be wrong with its messages.
        """
        self.calls_started.labels(provider)
        for refusal in REFUSALS:
            self.calls_refused.labels(provider, refusal)
        for reason in rejections:
            self.handshakes_rejected.labels(provider, reason)
        for code in problems:
            self.message_errors.labels(provider, code)
        for reason in UNUSABLE_REASONS:
            self.unusable_streams.labels(provider, reason)

    def _begin_at_zero(self) -> None:
        """Makes the label values that are known appear before the first event of their kind.

        A rate of what appears with its first event would miss that event.
        """
        for track in Track:
            self.readings.labels(track)
        for emotion, state in product(ALERTED_EMOTIONS, AlertState):
            self.alert_transitions.labels(emotion, state)
        for reason in (*DROP_REASONS, HUNG_UP):
            self.windows_dropped.labels(reason)
