from typing import Literal

import numpy as np
import pytest
from pydantic import SecretStr

from service.events import Track
from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.provider import BridgeOptions
from service.telephony.shared.recording import Recording
from service.telephony.telnyx.client import TelnyxClient
from service.telephony.telnyx.provider import TelnyxSettings, create_authenticator, create_bridge
from tests.service.telephony.media_streams import noise, samples

HEADER = "x-telnyx-streaming-auth-token"


def reason(headers: dict[str, str]) -> str:
    """Returns the reason of the rejection, or an empty text if the client is accepted."""
    authenticator = create_authenticator(
        TelnyxSettings(telnyx_token=SecretStr("s3cret of this test"))
    )
    assert authenticator
    try:
        authenticator.check(Handshake("/calls/telnyx", headers), 0.0)
    except Unauthorized as unauthorized:
        return unauthorized.reason
    return ""


def test_the_token_is_accepted_where_telnyx_puts_it() -> None:
    assert reason({HEADER: "s3cret of this test"}) == ""
    assert reason({"authorization": "Bearer s3cret of this test"}) == ""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "missing"),
        ({HEADER: " "}, "malformed"),
        ({HEADER: "other"}, "wrong_key"),
        ({HEADER: "s3cret of this test, s3cret of this test"}, "wrong_key"),
        ({HEADER: "other", "authorization": "Bearer s3cret of this test"}, "wrong_key"),
    ],
)
def test_all_others_are_rejected_with_a_reason(headers: dict[str, str], expected: str) -> None:
    assert reason(headers) == expected


@pytest.mark.parametrize("order", ["little", "big"])
def test_the_byte_order_of_l16_is_a_setting(order: Literal["little", "big"]) -> None:
    pcm = noise(320, 1)
    sent = pcm.byteswap() if order == "big" else pcm
    client = TelnyxClient("c", Recording("take.wav", (Track.CALLER,), sent), Encoding.L16)
    settings = TelnyxSettings(telnyx_l16_order=order)
    bridge = create_bridge(settings, BridgeOptions(), Handshake("/calls/telnyx", {}))
    messages = [*client.start(), *client.frame(sent[:160]), *client.frame(sent[160:])]
    events = [event for message in messages for event in bridge.receive(message)]
    np.testing.assert_array_equal(samples(events, Track.CALLER), pcm[:, 0])
