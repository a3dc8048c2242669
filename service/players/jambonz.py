"""jambonz' side of `listen`."""

from service.bridges.jambonz import JambonzBridge
from service.players.dialect import Ear
from service.players.freeswitch import FreeswitchDialect


class JambonzDialect(FreeswitchDialect):
    """One call that is listened to; with `user` and `password`, the verb's `wsAuth`."""

    name = "jambonz"
    subprotocols = JambonzBridge.SUBPROTOCOLS
    ear = Ear.NOTHING

    def _attributes(self) -> dict[str, object]:
        return {
            "callSid": self._call_id,
            "direction": "inbound",
            "callStatus": "in-progress",
            "recording": self._recording.name,
        }
