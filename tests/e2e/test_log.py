"""What the log shows at its most talkative: no credentials, no numbers, no audio."""

import base64
import json
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.service import Service
from tests.limits import ENOUGH_S

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-this-test"
NUMBER = "4930123456"


def test_at_debug_no_token_no_number_and_no_audio_is_logged(tmp_path: Path) -> None:
    audio = base64.b64encode(bytes(range(160))).decode()
    with Service(
        tmp_path, log_level="debug", native_token=TOKEN, telnyx_token=TOKEN, batch_max=4
    ) as kanjo:
        url = f"ws://127.0.0.1:{kanjo.port}/calls"
        with pytest.raises(InvalidStatus):
            connect(f"{url}/native?token={TOKEN}&caller={NUMBER}", proxy=None).close()
        for header in ("Bearer wrong-" + TOKEN, "Basic " + TOKEN):
            with pytest.raises(InvalidStatus):
                connect(
                    f"{url}/native", additional_headers={"Authorization": header}, proxy=None
                ).close()
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with connect(f"{url}/native?caller={NUMBER}", additional_headers=bearer, proxy=None) as one:
            start = {"type": "start", "call_id": "c-1", "encoding": "mulaw", "sample_rate": 8000}
            metadata = {"caller": NUMBER}
            one.send(json.dumps({**start, "tracks": ["caller"], "metadata": metadata}))
            one.send(bytes(range(160)))
            one.send(json.dumps({"type": "nonsense", "caller": NUMBER, "payload": audio}))
            one.send('{"type": "stop"}')
            while json.loads(one.recv(timeout=ENOUGH_S))["type"] != "stopped":
                pass
        log = kanjo.log
    assert "handshake_rejected" in log
    for secret in (TOKEN, NUMBER, audio[:24], "\\x01\\x02\\x03", "00 01 02"):
        assert secret not in log
    assert "[error" not in log
