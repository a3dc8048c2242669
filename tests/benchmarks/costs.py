"""What a call costs, in named figures with their units and sources: the input of sizing and fleet.

This is the one place of these figures. `docs/scaling.md` is written from it
(`python -m tests.test_readme`), so that a new measurement changes one line here.
"""

from dataclasses import dataclass, field
from typing import Any

MACHINE = "2 cores of an EPYC (Milan) at 2.4 GHz"
REDIS = "benchmark `redis`"
EARLIER = "measured before `kanjo loadtest` was there, by another generator"


def _figure(value: float, unit: str, source: str, *, assumed: bool = False) -> Any:
    return field(default=value, metadata={"unit": unit, "source": source, "assumed": assumed})


@dataclass(frozen=True, slots=True)
class Costs:
    """The figures; those marked `assumed` were not measured here."""

    # Calls.
    readings_a_s: float = _figure(
        0.47,
        "readings a second of call",
        "`kanjo loadtest`, callers who speak 45 % of the time; 0.44 counted on a tape of it",
    )
    talk: float = _figure(0.45, "of the time", "in which a caller speaks", assumed=True)
    alerts_an_hour: float = _figure(
        4.0, "alerts an hour of call", "no real calls were at hand", assumed=True
    )
    call_s: float = _figure(300.0, "seconds", "mean length of a call", assumed=True)
    day_h: float = _figure(
        11.0, "hours at the peak", "calls of a whole day, by the profile of the fleet", assumed=True
    )
    retention_days: float = _figure(30.0, "days", "default of `KANJO_RETENTION_DAYS`")

    # One machine.
    front_cores: float = _figure(
        0.0059,
        "cores a call",
        f"100 calls at 20 ms frames: 0.0086 in all; {EARLIER}",
    )
    compact_cores: float = _figure(
        0.0027, "cores a call", "the same: kanjo-compact, at the small batches that come about"
    )
    window_ms: float = _figure(
        1.7, "ms of a core a window", "profile of the scorer: kanjo-compact, 64 windows a batch"
    )
    base_cores: float = _figure(
        0.0095,
        "cores a call",
        "encoder 0.015 s of a core a second of speech, 45 % of the time; its network as compact's",
        assumed=True,
    )
    machine_calls: float = _figure(
        150.0,
        "calls",
        f"kanjo-compact, 20 ms frames: {MACHINE}, generator beside it; {EARLIER}",
    )
    machine_load: float = _figure(
        0.8, "of these calls", "what is admitted, to leave room", assumed=True
    )
    ready_mb: float = _figure(380.0, "MB", "benchmark `memory`, no calls")
    call_mb: float = _figure(0.85, "MB a call", "benchmark `memory`, 40 calls that come and go")
    late_idle_s: float = _figure(0.65, "seconds, p95", "benchmark `lateness`, 20 calls")
    late_full_s: float = _figure(0.9, "seconds, p95", "as `machine_calls`, with that many calls")

    # The network.
    message_bytes: float = _figure(
        355.0, "bytes a message", "benchmark `bridges`: Twilio, 20 ms of mu-law in base64"
    )
    frame_s: float = _figure(0.02, "seconds a message", "as most providers send")
    header_bytes: float = _figure(
        75.0, "bytes a message", "websocket 8, TLS 22, TCP and IP 45", assumed=True
    )
    card_gbit: float = _figure(10.0, "Gbit a second", "of a machine's network card", assumed=True)

    # Redis: `python -m tests.benchmarks redis` on the same machine, of which others had a part.
    write_commands: float = _figure(13.0, "commands a reading, alone", REDIS)
    write_us: float = _figure(360.0, "us of Redis a reading, alone", REDIS)
    write_together_us: float = _figure(57.0, "us of Redis a reading, 32 together", REDIS)
    write_bytes: float = _figure(775.0, "bytes Redis receives a reading, alone", REDIS)
    disk_bytes: float = _figure(1390.0, "bytes to disk, and to a replica, a reading", REDIS)
    event_us: float = _figure(1.3, "us of Redis an event, for each service", REDIS)
    event_bytes: float = _figure(366.0, "bytes Redis sends an event, to each service", REDIS)
    call_us: float = _figure(940.0, "us of Redis a call, its start and end", REDIS)
    alert_us: float = _figure(1200.0, "us of Redis an alert, its three steps", REDIS)
    beat_us: float = _figure(28.0, "us of Redis a heartbeat", REDIS)
    beat_s: float = _figure(5.0, "seconds", "from one heartbeat of a call to the next")
    kept_reading_bytes: float = _figure(364.0, "bytes kept a reading", REDIS)
    kept_call_bytes: float = _figure(1520.0, "bytes kept a call, beside its readings", REDIS)
    kept_alert_bytes: float = _figure(1750.0, "bytes kept an alert", REDIS)
    redis_load: float = _figure(
        0.7, "of a core", "what Redis is given, to leave room", assumed=True
    )

    # Graphics cards: none was at hand.
    gpu_tflops: float = _figure(100.0, "TFLOP/s", "peak in half precision", assumed=True)
    gpu_share: float = _figure(0.1, "of the peak", "what scoring reaches", assumed=True)
    window_gflop: float = _figure(0.33, "GFLOP a window", "benchmark `scoring`, kanjo-compact")
    encoder_gflop: float = _figure(
        1.05, "GFLOP a second of speech", "counted: three layers of kanjo-base's encoder"
    )

    # Faults.
    noticed_s: float = _figure(
        10.0, "seconds", "until a balancer sends a dead machine no more calls", assumed=True
    )
    drain_s: float = _figure(600.0, "seconds", "`KANJO_DRAIN_S` in `deploy/kubernetes/`")
    restart_s: float = _figure(30.0, "seconds", "from the end of a drain to ready", assumed=True)
    failover_s: float = _figure(
        15.0, "seconds", "until a replica is the master, by Sentinels", assumed=True
    )
