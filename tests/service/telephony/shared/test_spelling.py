import base64
import binascii
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.spelling import (
    audio_format,
    base64_bytes,
    json_value,
    respelled,
    sample_rate,
)


@pytest.mark.parametrize(
    ("text", "encoding", "rate"),
    [
        ("audio/x-raw", Encoding.L16, None),
        ("raw/slin", Encoding.L16, None),
        ("RAW/SLIN;rate=8000;channels=1", Encoding.L16, 8_000),
        ("audio/L16;rate=16000", Encoding.L16, 16_000),
        ("linear16", Encoding.L16, None),
        ("pcm_s16le", Encoding.L16, None),
        ("PCMU", Encoding.MULAW, None),
        ("audio/PCMU; rate=8000", Encoding.MULAW, 8_000),
        ("audio/x-mu-law", Encoding.MULAW, None),
        ("g711_ulaw", Encoding.MULAW, None),
        ("audio/x-alaw", Encoding.ALAW, None),
    ],
)
def test_formats_of_one_meaning_are_known(text: str, encoding: Encoding, rate: int | None) -> None:
    assert audio_format(text) == (encoding, rate)


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "audio/", "audio/x-", "OPUS", "G722", "audio/L24", "s16be", "g711"),
        *("video/raw", "audio/raw/slin", "raw;channels=2", "raw;rate=fast", "é" * 99),
    ],
)
def test_others_are_unknown(text: str) -> None:
    assert audio_format(text) is None


@pytest.mark.parametrize("value", [8_000, 8_000.0, "8000", "8000Hz", "8000 hz", " 8 kHz ", "8k"])
def test_a_rate_has_many_spellings(value: object) -> None:
    assert sample_rate(value) == 8_000


@pytest.mark.parametrize("value", [None, True, "", "fast", "8000.5", 0.5, [], "٨٠٠٠", "9" * 99])
def test_other_rates_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="sample rate"):
        sample_rate(value)


def test_fields_are_respelled_where_that_has_one_meaning() -> None:
    names = ("call_sid", "from")
    assert respelled({"callSid": 1, "From": 2}, names) == {"call_sid": 1, "from": 2}
    assert respelled({"call-sid": 1, "CallSID": 1}, names) == {"call_sid": 1}
    assert respelled({"call_sid": 1, "callSid": 2}, names) == {"call_sid": 1, "callSid": 2}
    assert respelled({"callsid": 1, "callSid": 2}, names) == {"callsid": 1, "callSid": 2}


@given(data=st.binary(), width=st.integers(1, 80))
def test_base64_may_have_line_breaks_and_lack_padding(data: bytes, width: int) -> None:
    text = base64.b64encode(data).decode()
    lines = "\r\n".join(text[at : at + width] for at in range(0, len(text), width))
    for spelling in (text, lines, lines + "\n", text.rstrip("=")):
        assert base64_bytes(spelling) == data
    assert base64_bytes(base64.urlsafe_b64encode(data).decode()) == data


@pytest.mark.parametrize("text", ["A", "%%%%", "AAA=AAAA", "A=="])
def test_what_is_not_base64_is_refused(text: Any) -> None:
    with pytest.raises(binascii.Error):
        base64_bytes(text)


def test_json_may_contain_half_a_character() -> None:
    assert json_value('{"name": "Jos\\ud83d"}') == {"name": "Jos\ud83d"}


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"\\ud800": NaN}', '["\\ud800"' + "[" * 100_000, "NaN"]
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_value(text)
