import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.audio import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from service.events import CallStarted, Gap, Track
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording
from service.telephony.telnyx.bridge import TelnyxBridge
from service.telephony.telnyx.client import TelnyxClient
from tests.service.telephony.media_streams import (
    BOTH,
    CALLER,
    STREAMING_PROVIDERS,
    feed,
    media_call,
    noise,
    samples,
)

CALL = media_call(STREAMING_PROVIDERS["telnyx"], frames=30)


def test_start_becomes_call_started() -> None:
    _, started = CALL.before
    (event,) = TelnyxBridge(BOTH).receive(started)
    assert isinstance(event, CallStarted)
    assert event.metadata == {
        "stream_id": "stream-CA1",
        "call_session_id": "session-CA1",
        "from": "+15550100001",
        "to": "+15550100002",
        "user_id": "player",
        "client_state": "",
        "tags": '["take.wav"]',
    }


@pytest.mark.parametrize("encoding", Encoding)
def test_the_encoding_is_the_one_that_start_names(encoding: Encoding) -> None:
    pcm = noise(160, 1)
    client = TelnyxClient("CA1", Recording("take.wav", (Track.CALLER,), pcm), encoding)
    decoded = samples(
        feed(TelnyxBridge(CALLER), [*client.start(), *client.frame(pcm)]), Track.CALLER
    )
    expected = {
        Encoding.MULAW: mulaw_decode(mulaw_encode(pcm[:, 0])),
        Encoding.ALAW: alaw_decode(alaw_encode(pcm[:, 0])),
        Encoding.L16: pcm[:, 0],
    }
    np.testing.assert_array_equal(decoded, expected[encoding])


@pytest.mark.parametrize("encoding", ["G722", "OPUS", "AMR-WB"])
def test_codecs_that_cannot_be_decoded_are_refused(encoding: str) -> None:
    message: dict[str, Any] = json.loads(CALL.before[-1])
    message["start"]["media_format"]["encoding"] = encoding
    bridge = TelnyxBridge(BOTH)
    assert bridge.receive(json.dumps(message)) == []
    assert bridge.close_code == 1003
    assert bridge.close_reason == f"got encoding {encoding!r}, expected PCMU, PCMA, L16"


@given(late=st.lists(st.integers(0, 20), min_size=60, max_size=60))
def test_order_is_restored(late: list[int]) -> None:
    arrival = sorted(range(60), key=lambda number: number + late[number])  # tracks interleaved
    bridge = TelnyxBridge(BOTH)
    events = feed(bridge, CALL.before + [CALL.media[number] for number in arrival] + CALL.after)
    for track in Track:
        np.testing.assert_array_equal(samples(events, track), CALL.pcm[track])
    assert not bridge.message_errors


def test_a_missing_chunk_is_a_gap_once_ten_are_queued() -> None:
    inbound = [text for text in CALL.media if "inbound" in text]
    bridge = TelnyxBridge(CALLER)
    feed(bridge, CALL.before + inbound[:5])
    assert feed(bridge, inbound[6:16]) == []
    gap, *rest = bridge.receive(inbound[16])
    assert gap == Gap(Track.CALLER, 160)
    assert len(rest) == 11


def test_an_error_of_the_provider_is_counted() -> None:
    bridge = TelnyxBridge(CALLER)
    assert bridge.receive('{"event":"error","payload":{"code":100002}}') == []
    assert bridge.message_errors == {"provider_error": 1}
