"""jambonz' side of `listen`."""

from service.telephony.freeswitch.client import FreeswitchClient
from service.telephony.jambonz.bridge import JambonzBridge
from service.telephony.shared.client import Feedback


class JambonzClient(FreeswitchClient):
    """One call that is listened to; with `user` and `password`, the verb's `wsAuth`."""

    name = "jambonz"
    subprotocols = JambonzBridge.SUBPROTOCOLS
    feedback = Feedback.NOTHING

    def _attributes(self) -> dict[str, object]:
        return {
            "callSid": self._call_id,
            "direction": "inbound",
            "callStatus": "in-progress",
            "recording": self._recording.name,
        }
