"""Reads the figures of a service under test from its /metrics."""

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from service.errors import ServiceRefused, ServiceUnreachable

HUNG_UP = "hung_up"  # windows of calls that ended before they were scored: nobody waits for them
WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The figures at one moment; None: the service does not say.

    Times are seconds; counters count from the service's start.
    """

    at_s: float
    cpu_s: float | None = None
    memory_bytes: float | None = None
    descriptors: float | None = None
    tasks: float | None = None
    live: float | None = None
    max_calls: float | None = None
    queued: float | None = None
    pending_writes: float | None = None
    readings: float | None = None
    dropped: float | None = None  # windows that were not scored, and readings that were not kept
    refused: float | None = None
    scoring_s: float | None = None
    batches: float | None = None
    late: Mapping[float, float] = field(default_factory=dict)  # from the end of speech: by edge

    @property
    def idle(self) -> bool:
        """Whether nothing is left of any call: no call, no window, no write."""
        return not (self.live or self.queued or self.pending_writes)


def parse(text: str, at_s: float) -> Sample:
    """Returns the figures in Prometheus' text format."""
    sums: dict[str, float] = {}
    late: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("reason") == HUNG_UP:
                continue
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
            if sample.name == "kanjo_speech_lateness_seconds_bucket":
                late[float(sample.labels["le"])] = sample.value
    lost = [
        sums[name]
        for name in ("kanjo_windows_dropped_total", "kanjo_outbox_dropped_readings_total")
        if name in sums
    ]
    return Sample(
        at_s,
        cpu_s=sums.get("process_cpu_seconds_total"),
        memory_bytes=sums.get("process_resident_memory_bytes"),
        descriptors=sums.get("process_open_fds"),
        tasks=sums.get("kanjo_asyncio_tasks"),
        live=sums.get("kanjo_live_calls"),
        max_calls=sums.get("kanjo_max_calls"),
        queued=sums.get("kanjo_queued_windows"),
        pending_writes=sums.get("kanjo_outbox_pending_writes"),
        readings=sums.get("kanjo_readings_total"),
        dropped=sum(lost) if lost else None,
        refused=sums.get("kanjo_calls_refused_total"),
        scoring_s=sums.get("kanjo_scoring_duration_seconds_sum"),
        batches=sums.get("kanjo_scoring_duration_seconds_count"),
        late=late,
    )


def late_percentile_s(before: Sample, after: Sample, percent: float) -> float | None:
    """Returns a percentile of lateness between two samples, linear within a bucket.

    None: there was no reading. Beyond the last edge, it is that edge.
    """
    counts = [(edge, after.late[edge] - before.late.get(edge, 0.0)) for edge in sorted(after.late)]
    if not counts or not counts[-1][1]:
        return None
    rank = counts[-1][1] * percent / 100
    for (low, below), (high, upto) in itertools.pairwise([(0.0, 0.0), *counts]):
        if upto >= rank:
            if high == float("inf"):
                return low
            return low + (high - low) * (rank - below) / max(upto - below, 1e-9)
    return counts[-1][0]


class Probe:
    """Asks for /metrics over a connection of its own each time, which is closed at once.

    Args:
        url: http:// or https://, of /metrics.
        token: that may read them; None where the service is open.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._headers = {"Connection": "close"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    async def sample(self) -> Sample:
        """Returns the present figures.

        Raises:
            ServiceRefused: the service answered with an HTTP status.
            ServiceUnreachable: nothing answered.
        """
        try:
            secure = self.url.startswith("https:")  # else certificates are read for nothing
            async with httpx.AsyncClient(
                trust_env=False, timeout=WITHIN_S, verify=secure
            ) as client:
                answer = await client.get(self.url, headers=self._headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error
        if answer.status_code != 200:
            raise ServiceRefused.from_body(self.url, answer.status_code, answer.content)
        return parse(answer.text, time.monotonic())
