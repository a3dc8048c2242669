"""What bridges cost a call, from its provider's messages to samples, beside the native one.

Two bars. One second of a call in messages of 20 ms (Exotel's are of 100 ms): at most 3 times the
native bridge's cost where messages are JSON, at most 1.2 times where they are binary; the native
call is in the same encoding and has the same tracks, of which the caller's is analysed. And a
message that is spoilt, or a read of AudioSocket's that is full of tiny ones: at most 10 times what
it costs unspoilt.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from rich.table import Table

from model.audio import SAMPLE_RATE, Pcm
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

FRAME = SAMPLE_RATE // 50  # samples of 20 ms
SECONDS = 20
ROUNDS = 40
SPOILT_ROUNDS = 15
SPOILT = 8  # messages of each way to spoil one
BAR_JSON, BAR_BINARY, BAR_SPOILT = 3.0, 1.2, 10.0

CALLER = frozenset({Track.CALLER})
BOTH = (Track.CALLER, Track.AGENT)


def bridge_of(player: ProviderClient) -> Bridge:
    """What takes this connection."""
    match player.name:
        case "native":
            return NativeBridge(CALLER)
        case "audiohook":
            known: Any = player
            return AudioHookBridge(known.session_id, known.organization_id)
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
    raise AssertionError(player.name)


def hear(bridge: Bridge, message: Message) -> None:
    """As the edge does, which takes every call."""
    for event in bridge.receive(message):
        if isinstance(event, CallStarted):
            bridge.started("s", "kanjo", "1", 1.0)


@dataclass(frozen=True)
class Connection:
    """What one connection says, and how to make the bridge that hears it."""

    fresh: Callable[[], Bridge]
    before: Sequence[Message]
    media: Sequence[Message]

    def live(self) -> Bridge:
        """A bridge whose call has started."""
        bridge = self.fresh()
        for message in self.before:
            hear(bridge, message)
        bridge.replies()
        return bridge


class Case(NamedTuple):
    """A call of one bridge."""

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


def spoken(case: Case) -> list[Connection]:
    """A call of noise, as its provider makes it, in messages of 20 ms."""
    pcm = noise(SECONDS * SAMPLE_RATE, len(case.tracks))
    if case.bridge == "audiosocket":
        return [audiosocket(pcm[:, lane], track) for lane, track in enumerate(case.tracks)]
    recording = Recording("noise.wav", case.tracks, pcm)
    dialect = CLIENTS[case.bridge]
    players = dialect.connections("c", recording, case.encoding, "ws://x/y", NO_CREDENTIALS)
    return [conversation(player, pcm) for player in players]


def noise(samples: int, tracks: int) -> Pcm:
    return np.random.default_rng(0).integers(-9000, 9000, (samples, tracks), np.int16)


def conversation(player: ProviderClient, pcm: Pcm) -> Connection:
    bridge = bridge_of(player)

    def said(messages: Iterable[Message]) -> list[Message]:
        """All of them; the bridge has heard them and the player what it answered."""
        told = []
        for message in messages:
            told.append(message)
            hear(bridge, message)
            for reply in bridge.replies():
                list(player.receive(reply))
        return told

    before = said(player.start())
    pieces = [pcm[at : at + FRAME] for at in range(0, len(pcm), FRAME)]
    media = [message for piece in pieces for message in said(player.frame(piece))]
    if player.name == "audiohook":  # its pings aside, in messages of 20 ms instead of 200
        whole = b"".join(message for message in media if isinstance(message, bytes))
        size = len(whole) // len(pieces)
        media = [whole[at : at + size] for at in range(0, len(whole), size)]
    return Connection(lambda: bridge_of(player), before, media)


def audiosocket(pcm: Pcm, track: Track) -> Connection:
    payloads = [pcm[at : at + FRAME].astype("<i2").tobytes() for at in range(0, len(pcm), FRAME)]
    media = [bytes([SLIN]) + len(p).to_bytes(2, "big") + p for p in payloads]
    before = [UUID_HEADER + UUID(int=1).bytes]
    return Connection(lambda: AudioSocketBridge(CALLER, track=track), before, media)


# What a good call costs.


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
    """Rounds in turn, so that all meet the same machine; each one's best counts."""
    cases = (*BINARY, *JSON)
    native = {case: case._replace(bridge="native") for case in cases}
    calls = {case: spoken(case) for case in (*cases, *native.values())}
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


# What a bad message costs.


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
    """JSON still, of wrong types."""
    parts = text.split(",")
    at, other = rng.randrange(len(parts)), rng.choice(["null", "[]", "{}", "1e999", '"\\ud800"'])
    name, colon, _ = parts[at].rpartition(":")
    parts[at] = f"{name}{colon}{other}"
    return ",".join(parts).ljust(len(text))[: len(text)]


def nested(text: str, rng: random.Random) -> str:
    opener = rng.choice(["[", '{"a":', '{"media":', '{"event":'])
    return (opener * len(text))[: len(text)]


def crowded(text: str, rng: random.Random) -> str:
    """An object of very many members."""
    members = ",".join(f'"{rng.randrange(10**6)}":0' for _ in range(len(text) // 6))
    return ("{" + members)[: len(text) - 1].rpartition(",")[0] + "}"


def digits(text: str, rng: random.Random) -> str:
    return rng.choice("123456789") * len(text)


def garbage(text: str, rng: random.Random) -> str:
    return "".join(chr(rng.randrange(1, 0xD800)) for _ in text)


SPOILS = (flipped, truncated, shuffled, exchanged, nested, crowded, digits, garbage)


def spoilt(message: Message, rng: random.Random) -> Iterator[tuple[str, Message]]:
    """Bad messages of a good one's size, and what was done to it."""
    for _ in range(SPOILT):
        if isinstance(message, str):
            for spoil in SPOILS:
                yield spoil.__name__, spoil(message, rng)
        else:
            yield "garbage", rng.randbytes(len(message))
            yield "truncated", message[: rng.randrange(len(message))]
            yield "flipped", bytes(byte ^ (rng.random() < 0.02) for byte in message)


def tiny(read: Message) -> Iterator[tuple[str, Message]]:
    """As many bytes of AudioSocket in too many messages, and in as many as are taken."""
    for payload_bytes in (1, 2, LEAST_BYTES - HEADER_BYTES):
        message = bytes([SLIN, 0, payload_bytes]) + bytes(payload_bytes)
        yield f"{payload_bytes} B each", message * (len(read) // len(message))


def once_s(bridge: Bridge, message: Message) -> float:
    began = time.perf_counter()
    bridge.receive(message)
    return time.perf_counter() - began


def best_once_s(make: Callable[[], Bridge], message: Message) -> float:
    return min(once_s(make(), message) for _ in range(SPOILT_ROUNDS))


def robustness() -> Table:
    """Each bad message at a new bridge, beside the good one that it was made of."""
    title = f"Messages that are spoilt, the worst of each (bar: {BAR_SPOILT:g})"
    table = Table("bridge", "message", "bytes", "us", "spoilt us", "how", "ratio", title=title)
    for case in {case.bridge: case for case in (*BINARY, *JSON)}.values():
        rng = random.Random(0)
        for what, good, make in originals(case):
            bads = tiny(good) if what == "one read" else spoilt(good, rng)
            good_s = best_once_s(make, good)
            bad_s, how = max((best_once_s(make, bad), how) for how, bad in bads)
            table.add_row(
                case.bridge,
                what,
                str(len(good)),
                f"{good_s * 1e6:.1f}",
                f"{bad_s * 1e6:.1f}",
                how,
                f"{bad_s / good_s:.1f}{' !' if bad_s > BAR_SPOILT * good_s else ''}",
            )
    return table


def originals(case: Case) -> Iterator[tuple[str, Message, Callable[[], Bridge]]]:
    """A start, a short and a long message of audio, with the bridge that awaits each.

    And of AudioSocket, whose messages come in pieces, the largest.
    """
    connection = spoken(case)[0]
    yield "start", connection.before[-1], connection.fresh
    yield "audio", connection.media[0], connection.live
    if isinstance(connection.media[0], bytes):
        second = connection.media[:50]
        yield "1 s", b"".join(part for part in second if isinstance(part, bytes)), connection.live
        if case.bridge == "audiosocket":
            most = READ_BYTES // len(connection.media[0])
            yield "one read", connection.media[0] * most, connection.live
    elif case.bridge != "exotel":  # whose player makes no longer ones
        recording = Recording("noise.wav", case.tracks, noise(SAMPLE_RATE, len(case.tracks)))
        player = CLIENTS[case.bridge]("c", recording, case.encoding)
        list(player.start())
        yield "1 s", next(iter(player.frame(recording.pcm))), connection.live


def tables() -> Iterator[Table]:
    yield costs()
    yield robustness()
