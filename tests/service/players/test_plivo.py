import json

import numpy as np

from service.doors.door import Handshake
from service.doors.plivo import PlivoDoor
from service.events import Track
from service.players.dialect import Access
from service.players.plivo import PlivoDialect
from service.players.recording import Recording

URL = "wss://mon.example.com/calls/plivo"
RECORDING = Recording("take.wav", (Track.CALLER,), np.zeros((160, 1), np.int16))


def test_it_signs_every_handshake_anew() -> None:
    player = PlivoDialect("CA1", RECORDING, url=URL, access=Access(secret="12345"))
    door = PlivoDoor(URL, "12345")
    door.check(Handshake("/calls/plivo", player.headers()), 0.0)
    door.check(Handshake("/calls/plivo", player.headers()), 0.0)
    assert PlivoDialect("CA1", RECORDING).headers() == {}


def test_chunks_are_numbers_timestamps_are_texts_and_there_is_no_stop() -> None:
    player = PlivoDialect("CA1", RECORDING)
    (text,) = player.frame(RECORDING.pcm)
    media = json.loads(text)["media"]
    assert (media["chunk"], media["timestamp"]) == (1, "0")
    assert list(player.stop()) == []
