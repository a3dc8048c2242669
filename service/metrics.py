"""What /metrics shows, one set a service."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENESS_S = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters and gauges; gauges that read something live are set by `app`."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.calls = Counter("kanjo_calls", "Calls taken", ["bridge"], registry=registry)
        self.refused = Counter(
            "kanjo_calls_refused", "Calls refused", ["bridge", "reason"], registry=registry
        )
        self.doors = Counter(
            "kanjo_doors_refused",
            "Connections of clients that did not prove who they are",
            ["bridge", "reason"],
            registry=registry,
        )
        self.problems = Counter(
            "kanjo_bridge_problems",
            "What was wrong with messages, counted when their connection ends",
            ["bridge", "code"],
            registry=registry,
        )
        self.live = Gauge("kanjo_calls_live", "Calls under way", registry=registry)
        self.errors = Counter(
            "kanjo_bridge_failures", "Calls that ended by a fault of ours", registry=registry
        )
        self.readings = Counter("kanjo_readings", "Windows read", ["track"], registry=registry)
        self.dropped = Counter(
            "kanjo_windows_dropped", "Windows never read", ["reason"], registry=registry
        )
        self.concealed = Counter(
            "kanjo_concealed_seconds", "Lost audio that was made up for", registry=registry
        )
        self.batch = Histogram(
            "kanjo_batch_windows", "Windows scored together", buckets=BATCH, registry=registry
        )
        self.scoring = Histogram(
            "kanjo_scoring_seconds", "Time to score a batch", buckets=LATENESS_S, registry=registry
        )
        self.lateness = Histogram(
            "kanjo_reading_lateness_seconds",
            "From a window's last sample to its reading",
            buckets=LATENESS_S,
            registry=registry,
        )
        self.alerts = Counter(
            "kanjo_alerts", "Steps of alerts", ["emotion", "state"], registry=registry
        )
        self.queue = Gauge("kanjo_queue_windows", "Windows waiting", registry=registry)
        self.outbox = Gauge("kanjo_outbox_writes", "Writes waiting for Redis", registry=registry)
        self.outbox_dropped = Gauge(
            "kanjo_outbox_dropped_readings", "Readings given up for lack of room", registry=registry
        )
        self.outbox_refused = Gauge(
            "kanjo_outbox_refused_writes", "Other writes given up", registry=registry
        )
        self.redis_up = Gauge("kanjo_redis_up", "Whether Redis answers", registry=registry)
