"""A call of speakers that the model has never heard: what is read, and what is raised, in order."""

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

from model import SHIPPED
from model.artifact import load
from model.audio import Pcm, resample
from service.events import Track
from service.replay.player import Recording, replay
from service.telephony.shared.client import AlertReceived
from tests.e2e.sample_calls import call
from tests.e2e.service import Service, until
from tests.paths import SAMPLES
from tests.redis_server import RedisServer
from training.data.manifest import Utterance, read_manifest

CORPORA = os.environ.get("KANJO_CORPORA")

Transitions = dict[tuple[str, str], list[dict[str, str]]]  # of (recording, alert id)


async def transitions(redis_url: str, names: dict[str, str]) -> Transitions:
    """All of `kanjo:alerts`, in its order; `names` are the recordings by call id."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        steps = [fields for _, fields in await redis.xrange("kanjo:alerts")]
    found: Transitions = {}
    for step in steps:
        found.setdefault((names[step["call_id"]], step["alert_id"]), []).append(step)
    return found


def kept_in_order(kept: dict[str, Any], steps: Transitions) -> None:
    """One call: only the caller's voice, every reading once, and alerts that obey the states."""
    assert kept["state"] == "ended"
    assert {reading["track"] for reading in kept["readings"]} == {"caller"}
    numbers = [reading["number"] for reading in kept["readings"]]
    assert numbers == list(range(1, len(numbers) + 1))
    ends = [reading["end_s"] for reading in kept["readings"]]
    assert ends == sorted(ends)
    assert ends[-1] <= kept["duration_s"]
    for alert in steps.values():
        assert {step["track"] for step in alert} == {"caller"}
        assert [step["number"] for step in alert] == [str(n + 1) for n in range(len(alert))]
        assert [step["state"] for step in alert] in (
            ["pending", "firing", "resolved"],
            ["pending", "lapsed"],
        )
        at_s = [float(step["at_s"]) for step in alert]
        assert at_s == sorted(at_s)
        assert at_s[-1] <= kept["duration_s"] + 0.01


async def test_a_caller_who_sounds_angry_raises_one_alert_and_one_who_does_not_raises_none(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """Both calls at once, in real time, as a telephone bridge would send them."""
    names = ("sounds-angry.flac", "neutral.flac")
    recordings = [Recording.read(SAMPLES / name) for name in names]
    heard: list[AlertReceived] = []
    with Service(tmp_path, redis_url=redis_server.url) as kanjo:
        summary = await replay(recordings, kanjo.ws, calls=2, speed=1.0, on_alert=heard.append)
        assert not summary.errors, summary.reasons
        calls = await settled(kanjo, 2)
        recorded = {kept["call_id"]: name for name, kept in calls.items()}
        steps = await transitions(redis_server.url, recorded)
    for name, kept in calls.items():
        print(name, *story(kept), sep="\n  ")  # noqa: T201
        kept_in_order(kept, {key: alert for key, alert in steps.items() if key[0] == name})
    assert len(heard) == sum(map(len, steps.values()))

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
    (text,) = {a.text for a in heard if (a.emotion, a.state) == ("anger", "firing")}
    assert text == f"sounds angry ({float(anger[1]['probability']):.2f})"
    # It concerns what the caller said in the middle: utterances 3 to 8 of 12.
    assert 7 < float(anger[0]["at_s"]) <= float(anger[1]["at_s"]) < 33


async def all_ended(kanjo: Service, calls: int) -> bool:
    async with kanjo.client() as client:
        page = (await client.get("/calls")).json()["calls"]
    return [call["state"] for call in page] == ["ended"] * calls


async def settled(kanjo: Service, calls: int) -> dict[str, dict[str, Any]]:
    """The calls with all that was made of them, by their recordings' names, once all have ended."""
    async with kanjo.client() as client:
        await until(partial(all_ended, kanjo, calls), within_s=20)
        page = (await client.get("/calls")).json()["calls"]
        kept = [
            (await client.get(f"/calls/{quote(call['call_id'], safe='')}")).json() for call in page
        ]
    return {call["metadata"]["recording"]: call for call in kept}


def story(kept: dict[str, Any]) -> list[str]:
    """What was read when, for whoever must find out why an alert came or did not."""
    return [
        f"{r['start_s']:5.1f} to {r['end_s']:5.1f} s: "
        + ", ".join(f"{emotion} {p:.2f}" for emotion, p in r["probabilities"].items())
        for r in kept["readings"]
    ] + [json.dumps({k: a[k] for k in ("emotion", "state", "peak")}) for a in kept["alerts"]]


# Other speakers, of all corpora there are.


def held_out(corpora: Path) -> dict[str, list[list[Utterance]]]:
    """By corpus, what its speakers said whom the shipped model has not heard, a list a speaker."""
    trained_on = load(SHIPPED).meta.training["trained_on"]
    found: dict[str, list[list[Utterance]]] = {}
    for corpus, about in trained_on.items():
        said: dict[str, list[Utterance]] = {name: [] for name in about["test_speakers"]}
        for utterance in read_manifest(corpora / corpus / "manifest.csv"):
            if utterance.speaker in said:
                said[utterance.speaker].append(utterance)
        found[corpus] = [utterances for utterances in said.values() if utterances]
    return found


def spoken(utterances: Sequence[Utterance], count: int) -> list[Pcm]:
    """So many of them, spread over all, at 8 kHz."""
    chosen = np.linspace(0, len(utterances) - 1, count).round().astype(int)
    voices = []
    for i in chosen:
        pcm, rate = soundfile.read(utterances[i].path, dtype="int16")
        voices.append(resample(pcm, rate))
    return voices


@pytest.mark.corpora
async def test_calls_of_all_speakers_held_out_are_kept_in_order(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    corpora = held_out(Path(str(CORPORA)))
    assert corpora, "the shipped model does not say what it was trained on"
    recordings = []
    for corpus, (caller, *others) in corpora.items():
        agent = others[0] if others else caller
        pcm = call(spoken(caller, 12), spoken(agent, 3))
        recordings.append(Recording(corpus, (Track.CALLER, Track.AGENT), pcm))
    with Service(tmp_path, redis_url=redis_server.url) as kanjo:
        summary = await replay(recordings, kanjo.ws, calls=len(recordings), speed=8.0)
        assert not summary.errors, summary.reasons
        calls = await settled(kanjo, len(recordings))
        recorded = {kept["call_id"]: name for name, kept in calls.items()}
        steps = await transitions(redis_server.url, recorded)
    assert set(calls) == set(corpora)
    for name, kept in calls.items():
        print(name, *story(kept), sep="\n  ")  # noqa: T201
        kept_in_order(kept, {key: alert for key, alert in steps.items() if key[0] == name})
