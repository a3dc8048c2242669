"""Running calls follow the policy file."""

import time
from dataclasses import dataclass, replace

from service.alerts.policy_file import Policy, parse_policy
from service.calls.registry import CallRegistry
from service.events import CallFacts, CallStarted
from tests.service.calls.harness import (
    CALLER,
    ENOUGH_S,
    FIRING,
    PENDING,
    SAMPLE_RATE,
    LiveStream,
    LoudnessScorer,
    service,
    speech,
    until,
)


@dataclass
class Source:
    current: Policy


def in_queue(queue: str) -> CallStarted:
    facts = CallFacts(queue=queue)
    return CallStarted(f"call-{queue}", "native", (CALLER,), SAMPLE_RATE, facts=facts)


async def test_a_running_call_goes_on_by_the_rules_of_its_queue_as_they_are_now() -> None:
    tolerant = "[queues.tolerant.anger]\nfire_at = 0.95\nclear_at = 0.9"
    an_hour_hence = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    source = Source(parse_policy(tolerant, "p"))
    async with service(LoudnessScorer()) as calls:
        calls = CallRegistry(replace(calls.context, policy=source), 10)
        async with (
            LiveStream(calls, in_queue("tolerant")) as tolerated,
            LiveStream(calls, in_queue("usual")) as usual,
        ):
            for live in (tolerated, usual):
                await live.send(speech(6))
            await until(lambda: len(tolerated.readings) == 5)
            assert tolerated.states == []
            await until(lambda: usual.states == [PENDING, FIRING])
            ends = f"[[mutes]]\nqueue = 'tolerant'\nuntil = {an_hour_hence}"
            source.current = parse_policy(ends, "p")
            await tolerated.send(speech(4))
            await until(lambda: tolerated.states == [PENDING, FIRING])
            store = calls.context.store
            assert await store.flush(ENOUGH_S)
            alerts = {alert.queue: alert for alert in (await store.reader.alerts(None, 10)).alerts}
            assert alerts["usual"].muted_until is None
            assert (alerts["tolerant"].muted_until or 0) > time.time()
            for live in (tolerated, usual):
                await live.end()
