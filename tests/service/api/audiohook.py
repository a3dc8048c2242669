"""An AudioHook client, message by message, for the tests of connections."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from websockets.sync.client import ClientConnection

from service.api import connection as connection
from tests.service.api.conftest import Running

SESSION = "11111111-2222-3333-4444-555555555555"


MEDIA = {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}


def hooked(seq: int, kind: str, **parameters: Any) -> str:
    message = {"version": "2", "type": kind, "id": SESSION, "seq": seq, "serverseq": 0}
    return json.dumps({**message, "position": "PT0S", "parameters": parameters})


def opening(connection: str, *media: dict[str, Any]) -> dict[str, Any]:
    """The parameters of `open`."""
    wanted = {"organizationId": "o", "conversationId": connection, "participant": {"id": "p"}}
    return {**wanted, "media": media}


class AudioHook:
    """One AudioHook session, message by message."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seq = 0

    def send(self, kind: str, **parameters: Any) -> None:
        self.seq += 1
        self.socket.send(hooked(self.seq, kind, **parameters))

    def open(self, connection: str) -> None:
        self.send("open", **opening(connection, MEDIA))


@contextlib.contextmanager
def audiohook_session(service: Running) -> Iterator[AudioHook]:
    headers = {"Audiohook-Session-Id": SESSION, "Audiohook-Organization-Id": "o"}
    with service.socket("/calls/audiohook", additional_headers=headers) as socket:
        yield AudioHook(socket)
