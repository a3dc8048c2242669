"""Calls of speakers on whom the model was not trained: their readings and alerts, in order."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
from redis.asyncio import Redis

from model import MODELS, SHIPPED
from model.artifact import load
from model.audio import Pcm, resample
from service.events import Track
from service.replay.player import Recording, replay
from service.telephony.shared.client import AlertReceived
from tests.e2e.sample_calls import call
from tests.e2e.service import Service, until
from tests.limits import ENOUGH_S
from tests.paths import SAMPLES
from tests.redis_server import RedisServer
from training.data.manifest import Utterance, folders_of, manifests_in, read_manifest

CORPORA = os.environ.get("KANJO_CORPORA")

Transitions = dict[tuple[str, str], list[dict[str, str]]]  # of (recording, alert id)


async def read_transitions(redis_url: str, names: dict[str, str]) -> Transitions:
    """Returns all of `kanjo:alerts` in order; `names` are the recordings by call id."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        steps = [fields for _, fields in await redis.xrange("kanjo:alerts")]
    found: Transitions = {}
    for step in steps:
        found.setdefault((names[step["call_id"]], step["alert_id"]), []).append(step)
    return found


def assert_in_order(stored: dict[str, Any], steps: Transitions) -> None:
    """Asserts that a stored call has only the caller, each reading once, and legal alerts."""
    assert stored["state"] == "ended"
    assert {reading["track"] for reading in stored["readings"]} == {"caller"}
    numbers = [reading["number"] for reading in stored["readings"]]
    assert numbers == list(range(1, len(numbers) + 1))
    ends = [reading["end_s"] for reading in stored["readings"]]
    assert ends == sorted(ends)
    assert ends[-1] <= stored["duration_s"]
    for alert in steps.values():
        assert {step["track"] for step in alert} == {"caller"}
        assert [step["number"] for step in alert] == [str(n + 1) for n in range(len(alert))]
        assert [step["state"] for step in alert] in (
            ["pending", "firing", "resolved"],
            ["pending", "lapsed"],
        )
        at_s = [float(step["at_s"]) for step in alert]
        assert at_s == sorted(at_s)
        assert at_s[-1] <= stored["duration_s"] + 0.01


@pytest.mark.parametrize(
    ("model", "speed"), [(name, 1.0 if path == SHIPPED else 4.0) for name, path in MODELS.items()]
)
async def test_a_caller_who_sounds_angry_raises_one_alert_and_one_who_does_not_raises_none(
    tmp_path: Path, redis_server: RedisServer, model: str, speed: float
) -> None:
    """Both calls at once; with the default model in real time, as a bridge would send them."""
    names = ("sounds-angry.flac", "neutral.flac")
    recordings = [Recording.read(SAMPLES / name) for name in names]
    received: list[AlertReceived] = []
    with Service(tmp_path, redis_url=redis_server.url, model=model) as kanjo:
        summary = await replay(recordings, kanjo.ws, calls=2, speed=speed, on_alert=received.append)
        assert not summary.errors, summary.reasons
        calls = await settled(kanjo, 2)
        recorded = {stored["call_id"]: name for name, stored in calls.items()}
        steps = await read_transitions(redis_server.url, recorded)
    for name, stored in calls.items():
        print(name, *describe(stored), sep="\n  ")  # noqa: T201
        assert_in_order(stored, {key: alert for key, alert in steps.items() if key[0] == name})
    assert len(received) == sum(map(len, steps.values()))

    fired = Counter(
        (name, alert[0]["emotion"])
        for (name, _), alert in steps.items()
        if "firing" in [step["state"] for step in alert]
    )
    assert fired[("sounds-angry.flac", "anger")] == 1
    assert not [name for name, _ in fired if name == "neutral.flac"]
    (anger,) = (
        alert
        for (name, _), alert in steps.items()
        if alert[0]["emotion"] == "anger" and len(alert) == 3
    )
    assert [step["state"] for step in anger] == ["pending", "firing", "resolved"]
    (text,) = {a.text for a in received if (a.emotion, a.state) == ("anger", "firing")}
    assert text == f"sounds angry ({float(anger[1]['probability']):.2f})"
    # The angry utterances are in the middle: 3 to 8 of 12.
    assert 7 < float(anger[0]["at_s"]) <= float(anger[1]["at_s"]) < 33


async def all_ended(kanjo: Service, calls: int) -> bool:
    async with kanjo.client() as client:
        page = (await client.get("/v1/calls")).json()["calls"]
    return [call["state"] for call in page] == ["ended"] * calls


async def settled(kanjo: Service, calls: int) -> dict[str, dict[str, Any]]:
    """Waits until so many calls have ended; returns them by the names of their recordings."""
    async with kanjo.client() as client:
        await until(partial(all_ended, kanjo, calls), within_s=ENOUGH_S)
        page = (await client.get("/v1/calls")).json()["calls"]
        stored = [
            (await client.get(f"/v1/calls/{quote(call['call_id'], safe='')}")).json()
            for call in page
        ]
    return {call["metadata"]["recording"]: call for call in stored}


def describe(stored: dict[str, Any]) -> list[str]:
    """Returns the readings and alerts as lines, to show why an alert fired or did not."""
    return [
        f"{r['start_s']:5.1f} to {r['end_s']:5.1f} s: "
        + ", ".join(f"{emotion} {p:.2f}" for emotion, p in r["probabilities"].items())
        for r in stored["readings"]
    ] + [json.dumps({k: a[k] for k in ("emotion", "state", "peak")}) for a in stored["alerts"]]


# Test speakers of all corpora.


def held_out(manifests: Sequence[Path]) -> dict[str, list[list[Utterance]]]:
    """Returns the utterances of the shipped model's test speakers, by corpus and speaker."""
    trained_on = load(SHIPPED).meta.training["trained_on"]
    found: dict[str, list[list[Utterance]]] = {}
    manifest_of = {manifest.parent.name: manifest for manifest in manifests}
    for corpus, about in trained_on.items():
        by_speaker: dict[str, list[Utterance]] = {name: [] for name in about["test_speakers"]}
        for utterance in read_manifest(manifest_of[corpus]):
            if utterance.speaker in by_speaker:
                by_speaker[utterance.speaker].append(utterance)
        found[corpus] = [utterances for utterances in by_speaker.values() if utterances]
    return found


def spoken(utterances: Sequence[Utterance], count: int) -> list[Pcm]:
    """Returns `count` of the utterances, evenly spread, at 8 kHz."""
    chosen = np.linspace(0, len(utterances) - 1, count).round().astype(int)
    voices = []
    for i in chosen:
        pcm, rate = soundfile.read(utterances[i].path, dtype="int16")
        voices.append(resample(pcm, rate))
    return voices


@pytest.mark.corpora
@pytest.mark.campaign
async def test_calls_of_the_test_speakers_of_all_corpora_are_stored_in_order(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    corpora = held_out(manifests_in(folders_of(str(CORPORA))))
    assert corpora, "the shipped model does not name its test speakers"
    recordings = []
    for corpus, (caller, *others) in corpora.items():
        agent = others[0] if others else caller
        pcm = call(spoken(caller, 12), spoken(agent, 3))
        recordings.append(Recording(corpus, (Track.CALLER, Track.AGENT), pcm))
    with Service(tmp_path, redis_url=redis_server.url) as kanjo:
        # At eight times the speed the scorer is behind at the end.
        summary = await replay(
            recordings, kanjo.ws, calls=len(recordings), speed=8.0, stopped_within_s=ENOUGH_S
        )
        assert not summary.errors, summary.reasons
        calls = await settled(kanjo, len(recordings))
        recorded = {stored["call_id"]: name for name, stored in calls.items()}
        steps = await read_transitions(redis_server.url, recorded)
    assert set(calls) == set(corpora)
    for name, stored in calls.items():
        print(name, *describe(stored), sep="\n  ")  # noqa: T201
        assert_in_order(stored, {key: alert for key, alert in steps.items() if key[0] == name})
