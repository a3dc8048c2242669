import json
from typing import Any

import numpy as np
import pytest

from service.events import Audio, CallStarted, CallStopped, Track
from service.telephony.jambonz.bridge import JambonzBridge

CALLER = frozenset({Track.CALLER})
ATTRIBUTES = {
    "callSid": "a7c1a4ae",
    "sampleRate": 8000,
    "mixType": "stereo",
    "from": "+15550100",
    "to": "+15550199",
    "customer": {"tier": "gold"},
}


def attributes(**changes: Any) -> str:
    return json.dumps({k: v for k, v in {**ATTRIBUTES, **changes}.items() if v is not ...})


def test_a_call_in_order_becomes_events() -> None:
    bridge = JambonzBridge(CALLER)
    assert bridge.receive(attributes()) == [
        CallStarted(
            "a7c1a4ae",
            "jambonz",
            (Track.CALLER, Track.AGENT),
            8000,
            {
                "callSid": "a7c1a4ae",
                "from": "+15550100",
                "to": "+15550199",
                "customer": '{"tier": "gold"}',
            },
        )
    ]
    (audio,) = bridge.receive(np.array([1, 2, 3, 4], "<i2").tobytes())
    assert isinstance(audio, Audio)
    assert audio.pcm.tolist() == [1, 3]
    assert bridge.receive('{"event": "dtmf", "dtmf": "5", "duration": "1600"}') == []
    assert bridge.disconnected() == [CallStopped("disconnected")]
    assert not bridge.message_errors
    assert bridge.replies() == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"callSid": ..., "call_id": "c"}, "bad_start"),
        ({"sampleRate": ...}, "unsupported_audio"),
        ({"mixType": ...}, "unsupported_audio"),
        ({"mixType": "mixed"}, "mixed_speakers"),
    ],
)
def test_what_the_first_text_leaves_out_is_not_assumed(
    changes: dict[str, Any], problem: str
) -> None:
    bridge = JambonzBridge(CALLER)
    assert bridge.receive(attributes(**changes)) == []
    assert bridge.message_errors == {problem: 1}
    assert bridge.close_code == 1011


def test_a_text_that_is_no_json_is_refused() -> None:
    bridge = JambonzBridge(CALLER)
    assert bridge.receive("hello") == []
    assert bridge.close_code == 1011
