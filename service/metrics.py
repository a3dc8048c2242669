"""What /metrics shows, one set a service."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENESS_S = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters and gauges; gauges that read something live are set by `app`."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.calls_started = Counter("kanjo_calls_started", "Calls taken", ["bridge"], registry=registry)
        self.calls_refused = Counter(
            "kanjo_calls_refused", "Calls refused", ["bridge", "reason"], registry=registry
        )
        self.handshakes_rejected = Counter(
            "kanjo_handshakes_rejected",
            "Connections of clients that did not prove who they are",
            ["bridge", "reason"],
            registry=registry,
        )
        self.message_errors = Counter(
            "kanjo_message_errors",
            "What was wrong with messages, counted when their connection ends",
            ["bridge", "code"],
            registry=registry,
        )
        self.live_calls = Gauge("kanjo_live_calls", "Calls under way", registry=registry)
        self.connection_failures = Counter(
            "kanjo_connection_failures", "Calls that ended by a fault of ours", registry=registry
        )
        self.readings = Counter("kanjo_readings", "Windows read", ["track"], registry=registry)
        self.windows_dropped = Counter(
            "kanjo_windows_dropped", "Windows never read", ["reason"], registry=registry
        )
        self.concealed_seconds = Counter(
            "kanjo_concealed_audio_seconds", "Lost audio that was made up for", registry=registry
        )
        self.batch_windows = Histogram(
            "kanjo_batch_windows", "Windows scored together", buckets=BATCH, registry=registry
        )
        self.scoring_seconds = Histogram(
            "kanjo_scoring_duration_seconds", "Time to score a batch", buckets=LATENESS_S, registry=registry
        )
        self.reading_lateness = Histogram(
            "kanjo_reading_lateness_seconds",
            "From a window's last sample to its reading",
            buckets=LATENESS_S,
            registry=registry,
        )
        self.alert_transitions = Counter(
            "kanjo_alert_transitions", "Steps of alerts", ["emotion", "state"], registry=registry
        )
        self.queued_windows = Gauge("kanjo_queued_windows", "Windows waiting", registry=registry)
        self.outbox_pending = Gauge("kanjo_outbox_pending_writes", "Writes waiting for Redis", registry=registry)
        self.outbox_dropped = Gauge(
            "kanjo_outbox_dropped_readings", "Readings given up for lack of room", registry=registry
        )
        self.outbox_rejected = Gauge(
            "kanjo_outbox_rejected_writes", "Other writes given up", registry=registry
        )
        self.redis_up = Gauge("kanjo_redis_up", "Whether Redis answers", registry=registry)
