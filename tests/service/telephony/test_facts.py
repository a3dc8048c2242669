"""The facts that each provider's own starts say, by the transcripts of its connections."""

import json
from collections.abc import Iterator

import pytest

from service.events import CallFacts, CallStarted, Track
from service.telephony.providers import PROVIDERS, facts_of
from service.telephony.shared.facts import FACTS, FactReader
from tests.paths import TRANSCRIPTS

BILLING = CallFacts(queue="billing")

EXPECTED = {
    "audiohook-session": CallFacts("+1-555-555-1234", "+1-800-555-6789", language="en-US"),
    "exotel-stream-applet": CallFacts("+919876543210", "+918047491899", "billing"),
    "freeswitch-fork-stereo": BILLING,
    "jambonz-listen": CallFacts("+15550100", "+15550199"),
    "plivo-mulaw": BILLING,
    "telnyx-out-of-order": CallFacts("+13122010094", "+13122123456"),
    "twilio-fork-of-both-tracks": BILLING,
    "vonage-mix-permitted": BILLING,
}


def starts(transcript: str) -> Iterator[CallStarted]:
    for line in (TRANSCRIPTS / f"{transcript}.jsonl").read_text().splitlines():
        for event in json.loads(line).get("events", ()):
            if "started" in event:
                fields = event["started"]
                tracks = tuple(map(Track, fields["tracks"]))
                yield CallStarted(**{**fields, "tracks": tracks})


@pytest.mark.parametrize("transcript", EXPECTED)
def test_a_providers_start_gives_its_facts(transcript: str) -> None:
    (started,) = starts(transcript)
    read = FactReader(facts_of(PROVIDERS)).read(started)
    assert read.facts == EXPECTED[transcript]
    shown = {value for value in (read.facts.caller_number, read.facts.queue) if value}
    assert shown.isdisjoint(read.metadata.values())
    assert (read.call_id, read.tracks) == (started.call_id, started.tracks)


def test_every_provider_names_facts_that_there_are() -> None:
    for provider in PROVIDERS.values():
        assert set(provider.facts) <= set(FACTS), provider.name
