import pytest

from service.events import CallStarted
from service.telephony.shared.listen_only import MessageProblem
from tests.service.telephony.media_streams import (
    CALLER,
    StreamingProvider,
    changed,
    every_provider,
    feed,
    media_call,
)


@every_provider
@pytest.mark.parametrize("call_id", ["", "x" * 129, "a\nb", 5, None, {"a": 1}], ids=repr)
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
@pytest.mark.parametrize("encoding", ["OPUS", "", "audio/x-", "mulaw", "é" * 99])
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
def test_other_fields_are_kept_as_short_texts(provider: StreamingProvider) -> None:
    call = media_call(provider)
    long = {f"key {n}": "x" * 2_000 for n in range(99)}
    key = "customParameters" if "customParameters" in call.before[-1] else "custom_parameters"
    (started,) = feed(provider.bridge(CALLER), [changed(call.before[-1], **{key: long})])
    assert isinstance(started, CallStarted)
    assert len(started.metadata) <= 32
    assert all(type(value) is str and len(value) <= 1_024 for value in started.metadata.values())
