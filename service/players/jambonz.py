"""jambonz' side of `listen`."""

from service.bridges.interleaved import Encoding
from service.bridges.jambonz import JambonzBridge
from service.players.dialect import NO_ACCESS, Access, Ear
from service.players.freeswitch import FreeswitchDialect
from service.players.recording import Recording


class JambonzDialect(FreeswitchDialect):
    """One call that is listened to; with `user` and `password`, the verb's `wsAuth`."""

    name = "jambonz"
    ear = Ear.NOTHING

    def __init__(
        self,
        call_id: str,
        recording: Recording,
        encoding: Encoding | None = None,
        *,
        url: str = "",
        access: Access = NO_ACCESS,
    ) -> None:
        super().__init__(call_id, recording, encoding, url=url, access=access)
        self.subprotocols = JambonzBridge.SUBPROTOCOLS

    def _attributes(self) -> dict[str, object]:
        return {
            "callSid": self._call_id,
            "direction": "inbound",
            "callStatus": "in-progress",
            "recording": self._recording.name,
        }
