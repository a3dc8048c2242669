from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio import mulaw_decode
from service.events import Audio, CallStopped, Event, Gap, Track
from service.telephony.audiohook.bridge import MAX_FRAME_BYTES
from service.telephony.audiohook.media import TRACKS
from service.telephony.shared.bridge import CloseCode
from tests.service.telephony.audiohook.sessions import (
    BOTH,
    CALLER,
    EXTERNAL,
    INTERNAL,
    OFFER,
    STEREO,
    Session,
    media,
    samples,
    started,
)


@pytest.mark.parametrize(
    ("analysed_tracks", "offered", "chosen"),
    [
        (CALLER, OFFER, EXTERNAL),
        (CALLER, [STEREO, INTERNAL], STEREO),
        (CALLER, [media("internal", "external")], media("internal", "external")),
        (CALLER, [media("external", encoding="L16"), STEREO], media("external", encoding="L16")),
        (CALLER, [media("external", encoding="L16"), EXTERNAL], EXTERNAL),
        (BOTH, OFFER, STEREO),
        (BOTH, [EXTERNAL, media("internal", "external", encoding="L16"), STEREO], STEREO),
        (BOTH, [INTERNAL, EXTERNAL], INTERNAL),
        (CALLER, [media("external", rate=44_100), None, 7, {}], media("external", rate=44_100)),
    ],
)
def test_media_with_all_analysed_tracks_and_the_fewest_others_is_chosen(
    analysed_tracks: frozenset[Track], offered: list[Any], chosen: dict[str, Any]
) -> None:
    session = Session(analysed_tracks)
    call = started(session.open(media=offered))
    session.bridge.started("s", "kanjo", "1", 1.0)
    assert session.replies() == [("opened", {"media": [chosen], "startPaused": False})]
    assert call.tracks == tuple(TRACKS[channel] for channel in chosen["channels"])
    assert call.sample_rate == chosen["rate"]


@pytest.mark.parametrize(
    "offered",
    [
        [INTERNAL],
        [media("external", encoding="OPUS")],
        [media("external", rate=4000)],
        [media("external", rate="8000")],
        [media("external", "external")],
        [media("external", "internal", "internal")],
        [media()],
        [{**EXTERNAL, "type": "video"}],
        ["external"],
    ],
)
def test_unsupported_media_ends_the_session_with_1003(offered: list[Any]) -> None:
    session = Session()
    assert session.open(media=offered) == []
    ((kind, parameters),) = session.replies()
    assert (kind, parameters["reason"]) == ("disconnect", "error")
    assert "got media" in parameters["info"]
    assert "expected audio in PCMU or L16" in parameters["info"]
    session.bridge.overdue()
    assert session.bridge.close_code == CloseCode.UNSUPPORTED


def test_the_track_of_each_channel_is_configuration() -> None:
    session = Session(tracks={"external": Track.AGENT, "internal": Track.CALLER})
    assert started(session.open(media=[INTERNAL, EXTERNAL])).tracks == (Track.CALLER,)


@given(data=st.data())
@settings(max_examples=40)
def test_frames_of_any_size_give_the_same_samples(data: st.DataObject) -> None:
    channels = data.draw(st.permutations(["external", "internal"]))
    encoding = data.draw(st.sampled_from(["PCMU", "L16"]))
    codes = np.random.default_rng(7).integers(0, 256, 800, np.uint8).tobytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, 800), max_size=8)))
    session = Session(BOTH).live(media=[media(*channels, encoding=encoding)])
    events: list[Event] = []
    for begin, end in zip([0, *cuts], [*cuts, 800], strict=True):
        events += session.bridge.receive(codes[begin:end])
    pcm = mulaw_decode(codes) if encoding == "PCMU" else np.frombuffer(codes, "<i2")
    for index, channel in enumerate(channels):
        np.testing.assert_array_equal(samples(events, TRACKS[channel]), pcm[index::2])
    assert session.bridge.position_s == Decimal(len(pcm) // 2) / 8000
    assert session.bridge.message_errors == {}


def test_the_agent_is_not_decoded() -> None:
    session = Session().live(media=[STEREO])
    (audio,) = session.bridge.receive(bytes(320))
    assert isinstance(audio, Audio)
    assert audio.track is Track.CALLER


def test_catch_up_of_20_s_in_one_frame_is_decoded() -> None:
    session = Session(BOTH).live(media=[media("external", "internal", encoding="L16")])
    events = session.bridge.receive(bytes(MAX_FRAME_BYTES))
    assert len(samples(events, Track.CALLER)) == 20 * 8000


def test_a_frame_that_is_too_large_is_a_gap() -> None:
    session = Session().live()
    events = session.bridge.receive(bytes(MAX_FRAME_BYTES + 1))
    assert events == [Gap(Track.CALLER, MAX_FRAME_BYTES + 1)]
    assert session.bridge.message_errors == {"frame_too_large": 1}
    assert session.replies() == []


@pytest.mark.parametrize("before", ["nothing", "open", "a probe"])
def test_audio_of_an_unknown_format_ends_the_session(before: str) -> None:
    session = Session()
    if before != "nothing":
        session.open(**({"media": []} if before == "a probe" else {}))
    events = session.bridge.receive(bytes(160))
    assert events == ([CallStopped("protocol_error")] if before == "open" else [])
    kind, parameters = session.replies()[-1]
    assert (kind, parameters["reason"]) == ("disconnect", "error")
    assert session.bridge.message_errors == {"audio_unexpected": 1}


def test_discarded_audio_is_a_gap_of_all_its_samples() -> None:
    session = Session(BOTH).live()
    events = session.bridge.receive(bytes(320))
    for _ in range(3):  # a third of a sample too much each, one together
        events += session.send("discarded", start="PT0.02S", discarded="PT0.1250416667S")
    assert len(samples(events, Track.CALLER)) == len(samples(events, Track.AGENT)) == 160 + 3001
    assert session.bridge.position_s == Decimal("0.02") + 3 * Decimal("0.1250416667")


@pytest.mark.parametrize(
    "duration", ["1.5", "PT1,5S", "PT-1S", "PTS", "PT.S", "PT1e3S", "PT٣S", "PT86401S", 3, None]
)
def test_an_impossible_duration_ends_the_session(duration: Any) -> None:
    session = Session().live()
    assert session.send("discarded", start="PT0S", discarded=duration) == [
        CallStopped("protocol_error")
    ]
    assert "discarded: got" in session.replies()[0][1]["info"]


def test_audio_while_the_client_is_paused_is_a_gap() -> None:
    session = Session().live()
    assert session.send("paused") == []
    assert session.bridge.receive(bytes(160)) == [Gap(Track.CALLER, 160)]
    assert session.send("resumed", start="PT0S", discarded="PT1S") == [Gap(Track.CALLER, 8000)]
    assert len(samples(session.bridge.receive(bytes(160)), Track.CALLER)) == 160
    assert session.bridge.message_errors == {"audio_while_paused": 1}


def test_the_service_can_pause_before_and_after_it_accepts_the_call() -> None:
    session = Session()
    session.open()
    session.bridge.pause()
    session.bridge.started("s", "kanjo", "1", 1.0)
    session.bridge.resume()
    session.bridge.pause()
    replies = session.replies()
    assert [kind for kind, _ in replies] == ["opened", "resume", "pause"]
    assert replies[0][1]["startPaused"] is True
