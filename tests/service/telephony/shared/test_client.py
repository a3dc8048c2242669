import numpy as np
import pytest

from service.events import Track
from service.replay.player import CLIENTS
from service.telephony.shared.client import ClientCredentials, ErrorReceived, UnsupportedByProvider
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

RECORDING = Recording("a.wav", (Track.CALLER,), np.zeros((160, 1), np.int16))


@pytest.mark.parametrize("bridge", CLIENTS)
@pytest.mark.parametrize("encoding", Encoding)
def test_an_encoding_that_a_provider_does_not_use_is_an_error_with_a_sentence(
    bridge: str, encoding: Encoding
) -> None:
    client = CLIENTS[bridge]
    if encoding in client.encodings:
        client("c", RECORDING, encoding)
    else:
        expected = " or ".join(client.encodings)
        with pytest.raises(UnsupportedByProvider) as caught:
            client("c", RECORDING, encoding)
        assert str(caught.value) == f"{bridge}: got encoding {encoding}, expected {expected}"


@pytest.mark.parametrize("bridge", CLIENTS)
@pytest.mark.parametrize("field", ["api_key", "secret", "user", "password", "token", "public_url"])
def test_credentials_that_a_provider_does_not_use_are_an_error_with_a_sentence(
    bridge: str, field: str
) -> None:
    client = CLIENTS[bridge]
    given = {field: "c2VjcmV0"} | ({"user": "u"} if field == "password" else {})
    if set(given) <= set(client.accepts):
        client("c", RECORDING, credentials=ClientCredentials(**given))
    else:
        with pytest.raises(UnsupportedByProvider, match=f"{bridge}: got access by ") as caught:
            client("c", RECORDING, credentials=ClientCredentials(**given))
        assert "c2VjcmV0" not in str(caught.value)


def test_a_password_without_a_user_is_an_error_with_a_sentence() -> None:
    with pytest.raises(UnsupportedByProvider, match="expected a user with it"):
        CLIENTS["asterisk"]("c", RECORDING, credentials=ClientCredentials(password="p"))


@pytest.mark.parametrize("bridge", ["twilio", "vonage", "telnyx", "plivo", "exotel", "asterisk"])
def test_a_message_on_a_one_way_stream_is_an_error(bridge: str) -> None:
    assert list(CLIENTS[bridge]("c", RECORDING).receive("{}")) == [
        ErrorReceived("unexpected", "got '{}', expected nothing", fatal=False)
    ]


@pytest.mark.parametrize("bridge", ["twilio", "telnyx", "plivo", "exotel"])
def test_each_call_counts_its_own_messages(bridge: str) -> None:
    def messages() -> list[str | bytes]:
        client = CLIENTS[bridge]("c", RECORDING)
        return [*client.start(), *client.frame(RECORDING.pcm), *client.stop()]

    assert messages() == messages()


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(ClientCredentials(secret="s3cret"))
