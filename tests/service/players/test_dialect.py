import numpy as np
import pytest

from service.bridges.interleaved import Encoding
from service.events import Track
from service.players.dialect import Access, ErrorHeard, Unplayable
from service.players.recording import Recording
from service.replay import DIALECTS

RECORDING = Recording("a.wav", (Track.CALLER,), np.zeros((160, 1), np.int16))


@pytest.mark.parametrize("bridge", DIALECTS)
@pytest.mark.parametrize("encoding", Encoding)
def test_an_encoding_that_a_provider_does_not_speak_is_a_sentence(
    bridge: str, encoding: Encoding
) -> None:
    dialect = DIALECTS[bridge]
    if encoding in dialect.encodings:
        dialect("c", RECORDING, encoding)
    else:
        expected = " or ".join(dialect.encodings)
        with pytest.raises(Unplayable) as caught:
            dialect("c", RECORDING, encoding)
        assert str(caught.value) == f"{bridge}: got encoding {encoding}, expected {expected}"


@pytest.mark.parametrize("bridge", DIALECTS)
@pytest.mark.parametrize("field", ["api_key", "secret", "user", "password", "token", "public_url"])
def test_access_that_a_provider_does_not_have_is_a_sentence(bridge: str, field: str) -> None:
    dialect = DIALECTS[bridge]
    given = {field: "c2VjcmV0"} | ({"user": "u"} if field == "password" else {})
    if set(given) <= set(dialect.takes):
        dialect("c", RECORDING, access=Access(**given))
    else:
        with pytest.raises(Unplayable, match=f"{bridge}: got access by ") as caught:
            dialect("c", RECORDING, access=Access(**given))
        assert "c2VjcmV0" not in str(caught.value)


def test_a_password_without_a_user_is_a_sentence() -> None:
    with pytest.raises(Unplayable, match="expected a user with it"):
        DIALECTS["asterisk"]("c", RECORDING, access=Access(password="p"))


@pytest.mark.parametrize("bridge", ["twilio", "vonage", "telnyx", "plivo", "exotel", "asterisk"])
def test_an_answer_on_a_one_way_stream_is_an_error(bridge: str) -> None:
    assert list(DIALECTS[bridge]("c", RECORDING).receive("{}")) == [
        ErrorHeard("unexpected", "got '{}', expected nothing", fatal=False)
    ]


@pytest.mark.parametrize("bridge", ["twilio", "telnyx", "plivo", "exotel"])
def test_each_call_counts_its_own_messages(bridge: str) -> None:
    def said() -> list[str | bytes]:
        player = DIALECTS[bridge]("c", RECORDING)
        return [*player.start(), *player.frame(RECORDING.pcm), *player.stop()]

    assert said() == said()


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(Access(secret="s3cret"))
