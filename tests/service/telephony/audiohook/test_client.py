import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from model.audio import SAMPLE_RATE, mulaw_decode, mulaw_encode
from model.labels import Emotion
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    CallSummary,
    Event,
    Gap,
    Track,
    Transition,
)
from service.telephony.audiohook.auth import AudioHookAuthenticator
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.audiohook.client import AudioHookClient
from service.telephony.shared.authenticator import Handshake
from service.telephony.shared.client import (
    AlertReceived,
    ClientCredentials,
    ErrorReceived,
    Message,
    Received,
    StoppedReceived,
    UnsupportedByProvider,
)
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

FRAME = 160
NOISE = np.random.default_rng(3).integers(-9000, 9000, (3 * SAMPLE_RATE, 2), np.int16)
STEREO = (Track.CALLER, Track.AGENT)
SUMMARY = CallSummary(duration_s=3.0, speech_s=2.0, readings=2, alerts=1, dropped=0)


class Conversation:
    """The player on one side, the bridge and its edge on the other."""

    def __init__(
        self,
        tracks: tuple[Track, ...] = STEREO,
        encoding: Encoding = Encoding.MULAW,
        analyse: frozenset[Track] = frozenset(Track),
    ) -> None:
        self.pcm = np.ascontiguousarray(NOISE[:, : len(tracks)])
        recording = Recording("r.wav", tracks, self.pcm)
        ticks: Iterator[float] = iter(range(1_000_000))
        self.player = AudioHookClient(
            "call-1", recording, encoding, url="ws://x/y", clock=lambda: next(ticks)
        )
        self.bridge = AudioHookBridge(
            self.player.session_id, self.player.organization_id, analyse=analyse
        )
        self.take = True  # the call as soon as it starts
        self.client: list[tuple[str, Any]] = []
        self.server: list[str] = []
        self.events: list[Event] = []
        self.heard: list[Received] = []

    def tell(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if isinstance(message, str):
                content = json.loads(message)
                self.client.append((content["type"], content))
            else:
                self.client.append(("audio", len(message)))
            for event in self.bridge.receive(message):
                self.events.append(event)
                if isinstance(event, CallStarted) and self.take:
                    self.bridge.started("s", "kanjo", "1", 1.0)
                elif isinstance(event, CallStopped):
                    self.bridge.stopped(event.reason, SUMMARY)
        self.answer()

    def answer(self) -> None:
        for message in self.bridge.replies():
            self.server.append(json.loads(message)["type"])
            self.heard += self.player.receive(message)

    def play(self, begin: int, end: int) -> None:
        for at in range(begin, end, FRAME):
            self.tell(self.player.frame(self.pcm[at : min(at + FRAME, end)]))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.client]

    def pcm_heard(self, track: Track) -> np.ndarray:
        """Each lost sample as -1."""
        parts = [
            event.pcm if isinstance(event, Audio) else np.full(event.samples, -1, np.int16)
            for event in self.events
            if isinstance(event, Audio | Gap) and event.track is track
        ]
        return np.concatenate([np.zeros(0, np.int16), *parts])


@pytest.mark.parametrize("tracks", [(Track.CALLER,), STEREO, STEREO[::-1]])
@pytest.mark.parametrize("encoding", [Encoding.MULAW, Encoding.L16])
@pytest.mark.parametrize("analyse", [frozenset({Track.CALLER}), frozenset(Track)])
def test_every_sample_arrives_on_its_track(
    tracks: tuple[Track, ...], encoding: Encoding, analyse: frozenset[Track]
) -> None:
    call = Conversation(tracks, encoding, analyse)
    call.tell(call.player.start())
    call.play(0, len(call.pcm))
    call.tell(call.player.stop())
    expected = call.pcm
    if encoding is Encoding.MULAW:
        expected = mulaw_decode(mulaw_encode(call.pcm).tobytes()).reshape(call.pcm.shape)
    for lane, track in enumerate(tracks):
        if track in analyse:
            np.testing.assert_array_equal(call.pcm_heard(track), expected[:, lane])
    assert call.bridge.problems == {}
    assert call.server[-1] == "closed"
    assert call.heard == [StoppedReceived()]


def test_frames_are_200_ms_and_pings_a_second_after_opened_twice_and_then_every_5_s() -> None:
    call = Conversation()
    call.tell(call.player.start())
    for _ in range(4):
        call.play(0, 3 * SAMPLE_RATE)
    assert [size for kind, size in call.client if kind == "audio"] == [3200] * 60
    pings = [(at, message) for at, (kind, message) in enumerate(call.client) if kind == "ping"]
    audio = [call.kinds()[:at].count("audio") for at, _ in pings]
    assert audio == [5, 5, 30, 55]
    assert [message["parameters"] for _, message in pings][:2] == [{}, {"rtt": "PT1.000000000S"}]
    assert pings[2][1]["position"] == "PT6S"
    assert call.server == ["opened", *["pong"] * 4]


def test_audio_before_opened_is_kept_20_s_and_caught_up_with() -> None:
    call = Conversation()
    call.take = False
    call.tell(call.player.start())
    for _ in range(8):
        call.play(0, 3 * SAMPLE_RATE)
    assert call.kinds() == ["open"]
    call.bridge.started("s", "kanjo", "1", 1.0)
    call.answer()
    call.play(0, FRAME)
    assert call.client[-1] == ("audio", 20 * SAMPLE_RATE * 2)


def test_it_pauses_and_resumes_as_it_is_told() -> None:
    call = Conversation()
    call.bridge.pause()
    call.tell(call.player.start())
    call.play(0, SAMPLE_RATE // 2)
    assert call.kinds() == ["open", "paused"]
    call.bridge.resume()
    call.answer()
    call.play(0, SAMPLE_RATE)
    assert call.kinds()[:4] == ["open", "paused", "resumed", "audio"]
    assert call.pcm_heard(Track.CALLER)[: SAMPLE_RATE // 2].tolist() == [-1] * (SAMPLE_RATE // 2)
    assert len(call.pcm_heard(Track.CALLER)) == SAMPLE_RATE * 3 // 2
    assert call.bridge.problems == {}


def test_it_closes_when_it_is_told_to_disconnect() -> None:
    call = Conversation()
    call.tell(call.player.start())
    call.bridge.failed()
    call.answer()
    call.play(0, SAMPLE_RATE)
    call.tell(call.player.stop())
    assert call.kinds() == ["open", "close"]
    assert call.server == ["opened", "disconnect", "closed"]
    error = ErrorReceived("error", "the service failed; this session is given up", fatal=True)
    assert call.heard == [error, StoppedReceived()]


def test_it_gives_up_a_server_that_answers_no_ping() -> None:
    call = Conversation()
    call.tell(call.player.start())
    for at in range(0, 7 * SAMPLE_RATE, FRAME):
        for message in call.player.frame(call.pcm[at % SAMPLE_RATE :][:FRAME]):
            call.client.append(("audio" if isinstance(message, bytes) else message, 0))
    texts = [json.loads(kind) for kind, _ in call.client[1:] if kind != "audio"]
    assert [text["type"] for text in texts] == ["ping", "error", "close"]
    assert texts[1]["parameters"]["code"] == 408


def test_alerts_are_heard_in_the_services_words() -> None:
    call = Conversation()
    call.tell(call.player.start())
    args: dict[str, Any] = {"since_s": 0.0, "at_s": 1.0, "probability": 0.83, "peak": 0.83}
    state = AlertState.FIRING
    call.bridge.alert(Transition("a", 2, "c", Track.CALLER, Emotion.ANGER, state, **args))
    call.answer()
    conversation = call.player.conversation_id
    assert call.heard == [AlertReceived(conversation, "anger", "firing", "sounds angry (0.83)")]


@pytest.mark.parametrize("answer", ["?", "[]", '{"type": "opened"}', b"\xff"])
def test_a_server_that_is_not_understood_is_told_so_and_left(answer: Message) -> None:
    call = Conversation()
    call.tell(call.player.start())
    (heard,) = call.player.receive(answer)
    assert isinstance(heard, ErrorReceived)
    call.play(0, FRAME)
    assert call.kinds()[-2:] == ["error", "close"]


def test_a_secret_that_is_no_base64_is_refused_and_not_repeated() -> None:
    recording = Recording("r.wav", STEREO, NOISE)
    with pytest.raises(UnsupportedByProvider, match="expected base64") as caught:
        AudioHookClient("c", recording, access=ClientCredentials(secret="pass word"))
    assert "word" not in str(caught.value)


def test_what_is_signed_is_the_public_address() -> None:
    recording = Recording("r.wav", STEREO, NOISE)
    access = ClientCredentials(
        api_key="k", secret="c2VjcmV0", public_url="wss://kanjo.example.com/calls/audiohook"
    )
    player = AudioHookClient(
        "c", recording, url="ws://127.0.0.1:8000/x", access=access, now=lambda: 1000.0
    )
    door = AudioHookAuthenticator({"k": b"secret"})
    headers = {**player.headers(), "host": "kanjo.example.com"}
    door.check(Handshake("/calls/audiohook", headers), 1001.0)
