"""Forks and their metadata, for the tests of FreeSWITCH's bridge."""

import json
from typing import Any

from service.events import Track
from service.telephony.freeswitch.bridge import FreeswitchBridge

CALLER = frozenset({Track.CALLER})
BOTH = frozenset(Track)


def fork(analysed_tracks: frozenset[Track] = CALLER, **options: Any) -> FreeswitchBridge:
    return FreeswitchBridge(analysed_tracks, **{"call_id_hint": "hint", **options})


def metadata(**changes: Any) -> str:
    fields = {"call_id": "c1", "sampleRate": 8000, "mixType": "mono", **changes}
    return json.dumps({key: value for key, value in fields.items() if value is not ...})
