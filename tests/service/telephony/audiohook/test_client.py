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


class Dialogue:
    """A client, and a bridge with the part of the service around it."""

    def __init__(
        self,
        tracks: tuple[Track, ...] = STEREO,
        encoding: Encoding = Encoding.MULAW,
        analysed_tracks: frozenset[Track] = frozenset(Track),
    ) -> None:
        self.pcm = np.ascontiguousarray(NOISE[:, : len(tracks)])
        recording = Recording("r.wav", tracks, self.pcm)
        ticks: Iterator[float] = iter(range(1_000_000))
        self.client = AudioHookClient(
            "call-1", recording, encoding, url="ws://x/y", clock=lambda: next(ticks)
        )
        self.bridge = AudioHookBridge(
            self.client.session_id, self.client.organization_id, analysed_tracks=analysed_tracks
        )
        self.accept = True  # the call as soon as it starts
        self.sent: list[tuple[str, Any]] = []  # by the client: type and content
        self.replies: list[str] = []  # of the server: types
        self.events: list[Event] = []
        self.received: list[Received] = []

    def send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if isinstance(message, str):
                content = json.loads(message)
                self.sent.append((content["type"], content))
            else:
                self.sent.append(("audio", len(message)))
            for event in self.bridge.receive(message):
                self.events.append(event)
                if isinstance(event, CallStarted) and self.accept:
                    self.bridge.started("s", "kanjo", "1", 1.0)
                elif isinstance(event, CallStopped):
                    self.bridge.stopped(event.reason, SUMMARY)
        self.answer()

    def answer(self) -> None:
        for message in self.bridge.replies():
            self.replies.append(json.loads(message)["type"])
            self.received += self.client.receive(message)

    def send_audio(self, begin: int, end: int) -> None:
        for at in range(begin, end, FRAME):
            self.send(self.client.frame(self.pcm[at : min(at + FRAME, end)]))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.sent]

    def samples(self, track: Track) -> np.ndarray:
        """Returns the samples of one track, each lost one as -1."""
        pieces = [
            event.pcm if isinstance(event, Audio) else np.full(event.samples, -1, np.int16)
            for event in self.events
            if isinstance(event, Audio | Gap) and event.track is track
        ]
        return np.concatenate([np.zeros(0, np.int16), *pieces])


@pytest.mark.parametrize("tracks", [(Track.CALLER,), STEREO, STEREO[::-1]])
@pytest.mark.parametrize("encoding", [Encoding.MULAW, Encoding.L16])
@pytest.mark.parametrize("analysed_tracks", [frozenset({Track.CALLER}), frozenset(Track)])
def test_every_sample_arrives_on_its_track(
    tracks: tuple[Track, ...], encoding: Encoding, analysed_tracks: frozenset[Track]
) -> None:
    call = Dialogue(tracks, encoding, analysed_tracks)
    call.send(call.client.start())
    call.send_audio(0, len(call.pcm))
    call.send(call.client.stop())
    expected = call.pcm
    if encoding is Encoding.MULAW:
        expected = mulaw_decode(mulaw_encode(call.pcm).tobytes()).reshape(call.pcm.shape)
    for index, track in enumerate(tracks):
        if track in analysed_tracks:
            np.testing.assert_array_equal(call.samples(track), expected[:, index])
    assert call.bridge.message_errors == {}
    assert call.replies[-1] == "closed"
    assert call.received == [StoppedReceived()]


def test_frames_are_200_ms_and_pings_a_second_after_opened_twice_and_then_every_5_s() -> None:
    call = Dialogue()
    call.send(call.client.start())
    for _ in range(4):
        call.send_audio(0, 3 * SAMPLE_RATE)
    assert [size for kind, size in call.sent if kind == "audio"] == [3200] * 60
    pings = [(at, message) for at, (kind, message) in enumerate(call.sent) if kind == "ping"]
    audio = [call.kinds()[:at].count("audio") for at, _ in pings]
    assert audio == [5, 5, 30, 55]
    assert [message["parameters"] for _, message in pings][:2] == [{}, {"rtt": "PT1.000000000S"}]
    assert pings[2][1]["position"] == "PT6S"
    assert call.replies == ["opened", *["pong"] * 4]


def test_up_to_20_s_of_audio_before_opened_are_sent_after_it() -> None:
    call = Dialogue()
    call.accept = False
    call.send(call.client.start())
    for _ in range(8):
        call.send_audio(0, 3 * SAMPLE_RATE)
    assert call.kinds() == ["open"]
    call.bridge.started("s", "kanjo", "1", 1.0)
    call.answer()
    call.send_audio(0, FRAME)
    assert call.sent[-1] == ("audio", 20 * SAMPLE_RATE * 2)


def test_it_pauses_and_resumes_when_asked() -> None:
    call = Dialogue()
    call.bridge.pause()
    call.send(call.client.start())
    call.send_audio(0, SAMPLE_RATE // 2)
    assert call.kinds() == ["open", "paused"]
    call.bridge.resume()
    call.answer()
    call.send_audio(0, SAMPLE_RATE)
    assert call.kinds()[:4] == ["open", "paused", "resumed", "audio"]
    assert call.samples(Track.CALLER)[: SAMPLE_RATE // 2].tolist() == [-1] * (SAMPLE_RATE // 2)
    assert len(call.samples(Track.CALLER)) == SAMPLE_RATE * 3 // 2
    assert call.bridge.message_errors == {}


def test_it_closes_after_disconnect() -> None:
    call = Dialogue()
    call.send(call.client.start())
    call.bridge.failed()
    call.answer()
    call.send_audio(0, SAMPLE_RATE)
    call.send(call.client.stop())
    assert call.kinds() == ["open", "close"]
    assert call.replies == ["opened", "disconnect", "closed"]
    error = ErrorReceived("error", "the service failed; this session is given up", fatal=True)
    assert call.received == [error, StoppedReceived()]


def test_it_closes_if_a_ping_gets_no_pong() -> None:
    call = Dialogue()
    call.send(call.client.start())
    for at in range(0, 7 * SAMPLE_RATE, FRAME):
        for message in call.client.frame(call.pcm[at % SAMPLE_RATE :][:FRAME]):
            call.sent.append(("audio" if isinstance(message, bytes) else message, 0))
    texts = [json.loads(kind) for kind, _ in call.sent[1:] if kind != "audio"]
    assert [text["type"] for text in texts] == ["ping", "error", "close"]
    assert texts[1]["parameters"]["code"] == 408


def test_alerts_are_received_with_their_text() -> None:
    call = Dialogue()
    call.send(call.client.start())
    args: dict[str, Any] = {"since_s": 0.0, "at_s": 1.0, "probability": 0.83, "peak": 0.83}
    state = AlertState.FIRING
    call.bridge.alert(Transition("a", 2, "c", Track.CALLER, Emotion.ANGER, state, **args))
    call.answer()
    conversation_id = call.client.conversation_id
    assert call.received == [
        AlertReceived(conversation_id, "anger", "firing", "sounds angry (0.83)")
    ]


@pytest.mark.parametrize("answer", ["?", "[]", '{"type": "opened"}', b"\xff"])
def test_an_unreadable_reply_is_an_error_and_closes(answer: Message) -> None:
    call = Dialogue()
    call.send(call.client.start())
    (received,) = call.client.receive(answer)
    assert isinstance(received, ErrorReceived)
    call.send_audio(0, FRAME)
    assert call.kinds()[-2:] == ["error", "close"]


def test_a_secret_that_is_not_base64_is_refused_and_not_repeated() -> None:
    recording = Recording("r.wav", STEREO, NOISE)
    with pytest.raises(UnsupportedByProvider, match="expected base64") as caught:
        AudioHookClient("c", recording, credentials=ClientCredentials(secret="pass word"))
    assert "word" not in str(caught.value)


def test_the_public_address_is_signed() -> None:
    recording = Recording("r.wav", STEREO, NOISE)
    credentials = ClientCredentials(
        api_key="k", secret="c2VjcmV0", public_url="wss://kanjo.example.com/calls/audiohook"
    )
    client = AudioHookClient(
        "c", recording, url="ws://127.0.0.1:8000/x", credentials=credentials, now=lambda: 1000.0
    )
    authenticator = AudioHookAuthenticator({"k": b"secret"})
    headers = {**client.headers(), "host": "kanjo.example.com"}
    authenticator.check(Handshake("/calls/audiohook", headers), 1001.0)
