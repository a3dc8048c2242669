"""Measures the cost of each bridge, from messages to samples, against the native bridge's.

There are two bars. One second of a call in messages of 20 ms (Exotel's are of 100 ms) costs at most
3 times the native bridge's cost where messages are JSON, at most 1.2 times where they are binary.
The native call has the same encoding and the same tracks, of which the caller's is analysed. A
corrupted message, or a read of AudioSocket's full of tiny messages, costs at most 10 times the cost
of the valid one.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from rich.table import Table

from model.audio import FRAME_SAMPLES, SAMPLE_RATE, Pcm
from service.api.audiosocket import READ_BYTES
from service.events import CallStarted, Track
from service.replay.player import CLIENTS
from service.telephony.asterisk.bridge import AsteriskBridge
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.audiosocket.bridge import (
    HEADER_BYTES,
    LEAST_BYTES,
    SLIN,
    UUID_HEADER,
    AudioSocketBridge,
)
from service.telephony.exotel.bridge import ExotelBridge
from service.telephony.freeswitch.bridge import FreeswitchBridge
from service.telephony.jambonz.bridge import JambonzBridge
from service.telephony.native.bridge import NativeBridge
from service.telephony.plivo.bridge import PlivoBridge
from service.telephony.shared.bridge import Bridge
from service.telephony.shared.client import NO_CREDENTIALS, Message, ProviderClient
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording
from service.telephony.telnyx.bridge import TelnyxBridge
from service.telephony.twilio.bridge import TwilioBridge
from service.telephony.vonage.bridge import VonageBridge

SECONDS = 20
ROUNDS = 40
CORRUPTED_ROUNDS = 15
CORRUPTED = 8  # messages of each kind of corruption
BAR_JSON, BAR_BINARY, BAR_CORRUPTED = 3.0, 1.2, 10.0

CALLER = frozenset({Track.CALLER})
BOTH = (Track.CALLER, Track.AGENT)


def bridge_of(client: ProviderClient) -> Bridge:
    """Returns a bridge for a client's connection."""
    match client.name:
        case "native":
            return NativeBridge(CALLER)
        case "audiohook":
            audiohook: Any = client
            return AudioHookBridge(audiohook.session_id, audiohook.organization_id)
        case "twilio":
            return TwilioBridge(CALLER)
        case "freeswitch":
            return FreeswitchBridge(CALLER, call_id_hint="c")
        case "jambonz":
            return JambonzBridge(CALLER)
        case "asterisk":
            return AsteriskBridge(CALLER)
        case "vonage":
            return VonageBridge(CALLER, analyse_mix=True)
        case "telnyx":
            return TelnyxBridge(CALLER)
        case "plivo":
            return PlivoBridge(CALLER)
        case "exotel":
            return ExotelBridge(CALLER)
    raise AssertionError(client.name)


def receive(bridge: Bridge, message: Message) -> None:
    """Gives the bridge a message, as the edge does, and accepts every call."""
    for event in bridge.receive(message):
        if isinstance(event, CallStarted):
            bridge.started("s", "kanjo", "1", 1.0)


@dataclass(frozen=True)
class Connection:
    """The messages of one connection, and how to create its bridge."""

    fresh: Callable[[], Bridge]
    before: Sequence[Message]
    media: Sequence[Message]

    def live(self) -> Bridge:
        """Returns a bridge whose call has started."""
        bridge = self.fresh()
        for message in self.before:
            receive(bridge, message)
        bridge.replies()
        return bridge


class Case(NamedTuple):
    """One call at one bridge."""

    bridge: str
    encoding: Encoding
    tracks: tuple[Track, ...] = BOTH


ONE = (Track.CALLER,)
BINARY = (
    *(Case("audiohook", encoding) for encoding in CLIENTS["audiohook"].encodings),
    *(Case("asterisk", encoding) for encoding in Encoding),
    Case("audiosocket", Encoding.L16),
    Case("freeswitch", Encoding.L16),
    Case("jambonz", Encoding.L16),
    Case("vonage", Encoding.L16, ONE),
)
JSON = (
    Case("twilio", Encoding.MULAW),
    *(Case("telnyx", encoding) for encoding in Encoding),
    *(Case("plivo", encoding) for encoding in CLIENTS["plivo"].encodings),
    Case("exotel", Encoding.L16, ONE),
)


def connections_of(case: Case) -> list[Connection]:
    """Returns the connections of a call of noise, in its provider's messages of 20 ms."""
    pcm = noise(SECONDS * SAMPLE_RATE, len(case.tracks))
    if case.bridge == "audiosocket":
        return [audiosocket(pcm[:, channel], track) for channel, track in enumerate(case.tracks)]
    recording = Recording("noise.wav", case.tracks, pcm)
    clients = CLIENTS[case.bridge].connections(
        "c", recording, case.encoding, "ws://x/y", NO_CREDENTIALS
    )
    return [connection_of(client, pcm) for client in clients]


def noise(samples: int, tracks: int) -> Pcm:
    """Returns noise (samples, tracks)."""
    return np.random.default_rng(0).integers(-9000, 9000, (samples, tracks), np.int16)


def connection_of(client: ProviderClient, pcm: Pcm) -> Connection:
    """Returns the messages with which a client sends samples (n, tracks)."""
    bridge = bridge_of(client)

    def exchanged_with_bridge(messages: Iterable[Message]) -> list[Message]:
        """Gives the messages to the bridge, and its replies to the client."""
        sent = []
        for message in messages:
            sent.append(message)
            receive(bridge, message)
            for reply in bridge.replies():
                list(client.receive(reply))
        return sent

    before = exchanged_with_bridge(client.start())
    pieces = [pcm[at : at + FRAME_SAMPLES] for at in range(0, len(pcm), FRAME_SAMPLES)]
    media = [m for piece in pieces for m in exchanged_with_bridge(client.frame(piece))]
    if client.name == "audiohook":  # without its pings, in messages of 20 ms instead of 200
        whole = b"".join(message for message in media if isinstance(message, bytes))
        size = len(whole) // len(pieces)
        media = [whole[at : at + size] for at in range(0, len(whole), size)]
    return Connection(lambda: bridge_of(client), before, media)


def audiosocket(pcm: Pcm, track: Track) -> Connection:
    payloads = [
        pcm[at : at + FRAME_SAMPLES].astype("<i2").tobytes()
        for at in range(0, len(pcm), FRAME_SAMPLES)
    ]
    media = [bytes([SLIN]) + len(p).to_bytes(2, "big") + p for p in payloads]
    before = [UUID_HEADER + UUID(int=1).bytes]
    return Connection(lambda: AudioSocketBridge(CALLER, track=track), before, media)


# The cost of a valid call.


def seconds(connections: Sequence[Connection]) -> float:
    took = 0.0
    for connection in connections:
        receive = connection.live().receive
        began = time.perf_counter()
        for message in connection.media:
            receive(message)
        took += time.perf_counter() - began
    return took


def costs() -> Table:
    """Returns the table. Rounds alternate, so that all run under the same load; the best counts."""
    cases = (*BINARY, *JSON)
    native = {case: case._replace(bridge="native") for case in cases}
    calls = {case: connections_of(case) for case in (*cases, *native.values())}
    best_s = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for case, connections in calls.items():
            best_s[case] = min(best_s[case], seconds(connections))
    title = "One second of one call, messages to samples"
    table = Table("bridge", "encoding", "tracks", "us", "native us", "ratio", "bar", title=title)
    for case in cases:
        us, native_us = (best_s[one] / SECONDS * 1e6 for one in (case, native[case]))
        bar = BAR_BINARY if case in BINARY else BAR_JSON
        table.add_row(
            case.bridge,
            case.encoding,
            str(len(case.tracks)),
            f"{us:.0f}",
            f"{native_us:.0f}",
            f"{us / native_us:.2f}{' !' if us > bar * native_us else ''}",
            f"{bar:g}",
        )
    return table


# The cost of a bad message.


def flipped(text: str, rng: random.Random) -> str:
    letters = list(text)
    for _ in range(1 + len(letters) // 50):
        letters[rng.randrange(len(letters))] = chr(rng.randrange(1, 256))
    return "".join(letters)


def truncated(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text))].ljust(len(text))


def shuffled(text: str, rng: random.Random) -> str:
    at, to = rng.randrange(len(text)), rng.randrange(len(text))
    return (text[:at] + text[to:] + text[at:])[: len(text)]


def exchanged(text: str, rng: random.Random) -> str:
    """Returns JSON with a value of a wrong type."""
    members = text.split(",")
    at, other = rng.randrange(len(members)), rng.choice(["null", "[]", "{}", "1e999", '"\\ud800"'])
    name, colon, _ = members[at].rpartition(":")
    members[at] = f"{name}{colon}{other}"
    return ",".join(members).ljust(len(text))[: len(text)]


def nested(text: str, rng: random.Random) -> str:
    opener = rng.choice(["[", '{"a":', '{"media":', '{"event":'])
    return (opener * len(text))[: len(text)]


def crowded(text: str, rng: random.Random) -> str:
    """Returns an object of very many members."""
    members = ",".join(f'"{rng.randrange(10**6)}":0' for _ in range(len(text) // 6))
    return ("{" + members)[: len(text) - 1].rpartition(",")[0] + "}"


def digits(text: str, rng: random.Random) -> str:
    return rng.choice("123456789") * len(text)


def garbage(text: str, rng: random.Random) -> str:
    return "".join(chr(rng.randrange(1, 0xD800)) for _ in text)


CORRUPTIONS = (flipped, truncated, shuffled, exchanged, nested, crowded, digits, garbage)


def corrupted(message: Message, rng: random.Random) -> Iterator[tuple[str, Message]]:
    """Yields corrupted messages of the size of a valid one, and the kind of corruption."""
    for _ in range(CORRUPTED):
        if isinstance(message, str):
            for corrupt in CORRUPTIONS:
                yield corrupt.__name__, corrupt(message, rng)
        else:
            yield "garbage", rng.randbytes(len(message))
            yield "truncated", message[: rng.randrange(len(message))]
            yield "flipped", bytes(byte ^ (rng.random() < 0.02) for byte in message)


def tiny(read: Message) -> Iterator[tuple[str, Message]]:
    """Yields AudioSocket reads of this size: in too many messages, and in as many as accepted."""
    for payload_bytes in (1, 2, LEAST_BYTES - HEADER_BYTES):
        message = bytes([SLIN, 0, payload_bytes]) + bytes(payload_bytes)
        yield f"{payload_bytes} B each", message * (len(read) // len(message))


def once_s(bridge: Bridge, message: Message) -> float:
    began = time.perf_counter()
    bridge.receive(message)
    return time.perf_counter() - began


def best_once_s(make: Callable[[], Bridge], message: Message) -> float:
    return min(once_s(make(), message) for _ in range(CORRUPTED_ROUNDS))


def robustness() -> Table:
    """Returns the table of corrupted messages against valid ones, each at a new bridge."""
    title = f"Corrupted messages, the worst of each (bar: {BAR_CORRUPTED:g})"
    table = Table("bridge", "message", "bytes", "us", "corrupted us", "how", "ratio", title=title)
    for case in {case.bridge: case for case in (*BINARY, *JSON)}.values():
        rng = random.Random(0)
        for what, good, make in originals(case):
            bads = tiny(good) if what == "one read" else corrupted(good, rng)
            good_s = best_once_s(make, good)
            bad_s, how = max((best_once_s(make, bad), how) for how, bad in bads)
            table.add_row(
                case.bridge,
                what,
                str(len(good)),
                f"{good_s * 1e6:.1f}",
                f"{bad_s * 1e6:.1f}",
                how,
                f"{bad_s / good_s:.1f}{' !' if bad_s > BAR_CORRUPTED * good_s else ''}",
            )
    return table


def originals(case: Case) -> Iterator[tuple[str, Message, Callable[[], Bridge]]]:
    """Yields a start, a short and a long message of audio, with how to create a bridge for each.

    AudioSocket, which reads a stream of bytes, also has the largest read.
    """
    connection = connections_of(case)[0]
    yield "start", connection.before[-1], connection.fresh
    yield "audio", connection.media[0], connection.live
    if isinstance(connection.media[0], bytes):
        second = connection.media[:50]
        yield (
            "1 s",
            b"".join(piece for piece in second if isinstance(piece, bytes)),
            connection.live,
        )
        if case.bridge == "audiosocket":
            most = READ_BYTES // len(connection.media[0])
            yield "one read", connection.media[0] * most, connection.live
    elif case.bridge != "exotel":  # whose client sends no longer ones
        recording = Recording("noise.wav", case.tracks, noise(SAMPLE_RATE, len(case.tracks)))
        client = CLIENTS[case.bridge]("c", recording, case.encoding)
        list(client.start())
        yield "1 s", next(iter(client.frame(recording.pcm))), connection.live


def tables() -> Iterator[Table]:
    yield costs()
    yield robustness()
