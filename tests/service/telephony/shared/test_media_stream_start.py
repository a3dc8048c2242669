import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.events import Audio, CallStarted, Track
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.listen_only import MessageProblem
from tests.service.telephony.media_streams import (
    BOTH,
    CALLER,
    STREAMING_PROVIDERS,
    StreamingProvider,
    changed,
    every_provider,
    feed,
    media_call,
)
from tests.service.telephony.media_streams import samples as pcm


def camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def respelled(value: Any, spelled: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {spelled(name): respelled(inner, spelled) for name, inner in value.items()}
    return value


@every_provider
@pytest.mark.parametrize("call_id", ["", "x" * 129, "a\nb", -5, True, None, {"a": 1}], ids=repr)
def test_a_call_without_a_usable_id_is_refused(
    provider: StreamingProvider, call_id: object
) -> None:
    call = media_call(provider)
    bridge = provider.bridge(CALLER)
    *before, start = call.before
    assert feed(bridge, [*before, changed(start, **{provider.call_id: call_id})]) == []
    assert bridge.close_code == 1008
    assert bridge.message_errors == {MessageProblem.BAD_START: 1}
    assert provider.call_id in bridge.close_reason
    assert feed(bridge, call.media) == []


@every_provider
@pytest.mark.parametrize("encoding", ["OPUS", "", "audio/x-", "mulaw/8000", "é" * 99, "x" * 99])
def test_an_unknown_encoding_is_refused_and_not_guessed(
    provider: StreamingProvider, encoding: str
) -> None:
    call = media_call(provider)
    bridge = provider.bridge(CALLER)
    key = "mediaFormat" if "mediaFormat" in call.before[-1] else "media_format"
    media_format = {**call.start["start"][key], "encoding": encoding}
    assert feed(bridge, [changed(call.before[-1], **{key: media_format})]) == []
    assert bridge.close_code == 1003
    assert bridge.message_errors == {MessageProblem.UNSUPPORTED_AUDIO: 1}
    assert "expected" in bridge.close_reason or len(bridge.close_reason) == 123
    assert bridge.close_reason.isascii()


@every_provider
@pytest.mark.parametrize("rate", [7_999, "48001", 0, -8_000, 10**30])
def test_an_impossible_sample_rate_is_refused(provider: StreamingProvider, rate: object) -> None:
    call = media_call(provider)
    bridge = provider.bridge(CALLER)
    key = "mediaFormat" if "mediaFormat" in call.before[-1] else "media_format"
    media_format = {**call.start["start"][key], provider.rate: rate}
    assert feed(bridge, [changed(call.before[-1], **{key: media_format})]) == []
    assert bridge.close_code == 1003


@every_provider
def test_a_rate_comes_from_the_message_as_number_or_text(provider: StreamingProvider) -> None:
    call = media_call(provider)
    key = "mediaFormat" if "mediaFormat" in call.before[-1] else "media_format"
    for rate in (16_000, "16000"):
        media_format = {**call.start["start"][key], provider.rate: rate}
        (started,) = feed(
            provider.bridge(CALLER), [changed(call.before[-1], **{key: media_format})]
        )
        assert isinstance(started, CallStarted)
        assert started.sample_rate == 16_000


@every_provider
def test_a_numeric_id_is_taken_as_text(provider: StreamingProvider) -> None:
    call = media_call(provider)
    (started,) = feed(
        provider.bridge(CALLER), [changed(call.before[-1], **{provider.call_id: 1234567890})]
    )
    assert isinstance(started, CallStarted)
    assert started.call_id == "1234567890"


FORMATS = [
    ("audio/x-mulaw", Encoding.MULAW),
    ("PCMU", Encoding.MULAW),
    ("mulaw", Encoding.MULAW),
    ("audio/L16;rate=8000", Encoding.L16),
    ("raw/slin", Encoding.L16),
    ("audio/x-raw", Encoding.L16),
    ("Audio/X-L16; rate=8000Hz", Encoding.L16),
]


@every_provider
@pytest.mark.parametrize(("name", "encoding"), FORMATS)
@pytest.mark.parametrize("rate", [8_000, "8000", "8000Hz", "8 kHz", 8_000.0])
@pytest.mark.parametrize("spelled", [camel_case, snake_case])
def test_a_start_is_understood_in_every_spelling_of_one_meaning(
    provider: StreamingProvider,
    name: str,
    encoding: Encoding,
    rate: object,
    spelled: Callable[[str], str],
) -> None:
    call = media_call(provider)
    key = "mediaFormat" if "mediaFormat" in call.before[-1] else "media_format"
    media_format = {**call.start["start"][key], "encoding": name, provider.rate: rate}
    start = json.loads(changed(call.before[-1], **{key: media_format}))
    bridge = provider.bridge(CALLER)
    events = feed(bridge, [json.dumps(respelled(start, spelled)), call.media[0]])
    started, audio = events
    assert isinstance(started, CallStarted)
    assert (started.call_id, started.sample_rate) == ("CA1", 8_000)
    assert isinstance(audio, Audio)
    size = provider.frame * (2 if provider.encoding is Encoding.L16 else 1)
    assert len(audio.pcm) == size // (2 if encoding is Encoding.L16 else 1)
    assert not bridge.message_errors


@every_provider
@pytest.mark.parametrize("format_rate", [None, 16_000])
def test_a_rate_in_the_encoding_must_not_contradict(
    provider: StreamingProvider, format_rate: int | None
) -> None:
    call = media_call(provider)
    key = "mediaFormat" if "mediaFormat" in call.before[-1] else "media_format"
    media_format = {**call.start["start"][key], "encoding": "audio/L16;rate=16000"}
    bridge = provider.bridge(CALLER)
    start = changed(call.before[-1], **{key: {**media_format, provider.rate: format_rate}})
    (started,) = feed(bridge, [start])
    assert isinstance(started, CallStarted)
    assert started.sample_rate == 16_000
    bridge = provider.bridge(CALLER)
    assert feed(bridge, [changed(call.before[-1], **{key: media_format})]) == []
    assert bridge.close_code == 1003
    assert bridge.close_reason == "got sample rate 8000 and 16000, expected one, 8000 to 48000"


@every_provider
@pytest.mark.parametrize("word", ["inbound_track", "Inbound", "INBOUND_TRACK"])
def test_a_track_is_understood_in_every_spelling(provider: StreamingProvider, word: str) -> None:
    call = media_call(provider)
    media = [changed(text, track=word) for text in call.media if "outbound" not in text]
    start = call.before[-1].replace('"inbound"', json.dumps(word))
    bridge = provider.bridge(BOTH)
    events = feed(bridge, [*call.before[:-1], start, *media])
    np.testing.assert_array_equal(pcm(events, Track.CALLER), call.pcm[Track.CALLER])
    assert not bridge.message_errors


@pytest.mark.parametrize("name", ["twilio", "plivo"])
@pytest.mark.parametrize(
    ("announced", "dropped"), [(["inbound"], 10), (["both_tracks"], 0), (["outbound_track"], 10)]
)
def test_a_track_that_the_start_did_not_announce_is_dropped(
    name: str, announced: list[str], dropped: int
) -> None:
    provider = STREAMING_PROVIDERS[name]
    call = media_call(provider)
    bridge = provider.bridge(BOTH)
    events = feed(bridge, [changed(call.before[-1], tracks=announced), *call.media])
    started, *audio = events
    assert isinstance(started, CallStarted)
    assert {event.track for event in audio if isinstance(event, Audio)} == set(started.tracks)
    assert bridge.message_errors == (Counter({"unknown_track": dropped}) if dropped else {})


@every_provider
def test_other_fields_are_kept_as_short_texts(provider: StreamingProvider) -> None:
    call = media_call(provider)
    long = {f"key {n}": "x" * 2_000 for n in range(99)}
    key = "customParameters" if "customParameters" in call.before[-1] else "custom_parameters"
    (started,) = feed(provider.bridge(CALLER), [changed(call.before[-1], **{key: long})])
    assert isinstance(started, CallStarted)
    assert len(started.metadata) <= 32
    assert all(type(value) is str and len(value) <= 1_024 for value in started.metadata.values())


def test_a_parameter_cut_inside_a_character_does_not_cost_the_call() -> None:
    provider = STREAMING_PROVIDERS["twilio"]
    start = changed(media_call(provider).before[-1], customParameters={"name": "Jos\ud83d"})
    (started,) = feed(provider.bridge(CALLER), [start])
    assert isinstance(started, CallStarted)
    assert started.metadata["name"] == "Jos?"
