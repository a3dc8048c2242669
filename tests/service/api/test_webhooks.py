"""The whole service with a real receiver: from a call's voice to a signed request."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from model.labels import EMOTIONS
from service.webhooks.errors import WebhooksUnusable
from tests.service.api.conftest import Running, call, ready, running, until
from tests.service.webhooks.harness import to, toml
from tests.service.webhooks.http_receiver import SECRET, Answer, HttpReceiver, receiving

NUMBER = "+4930123456789"


@contextmanager
def service_with(receiver: HttpReceiver, folder: Path, **more: Any) -> Iterator[Running]:
    """A service in which every call raises an alert of anger, and which tells the receiver."""
    path = folder / "webhooks.toml"
    path.write_text(toml(one=to(receiver)))
    always = {f"{emotion}_{at}": 0 for emotion in EMOTIONS[:2] for at in ("fire_at", "clear_at")}
    state = folder / "state"
    with running(**always, hold_s=0, webhooks=path, state_dir=state, **more) as server:
        yield ready(server)


def test_an_alert_of_a_call_is_told_signed_and_its_dead_letter_can_be_sent_again(
    tmp_path: Path,
) -> None:
    with receiving() as receiver:
        with service_with(receiver, tmp_path) as service:
            call(service, f"id of {NUMBER}", metadata={"caller_number": NUMBER, "queue": "sales"})
            until(lambda: len(receiver.requests) == 2)
            firing, resolved = (
                Webhook(SECRET).verify(request.body, dict(request.headers))
                for request in receiver.requests
            )
            assert [firing["type"], resolved["type"]] == [
                "kanjo.alert.firing",
                "kanjo.alert.resolved",
            ]
            assert firing["data"]["text"].startswith("sounds angry (")
            assert firing["data"]["call_id"] == "id of +49 … 89"
            assert NUMBER.encode() not in b"".join(each.body for each in receiver.requests)

            receiver.answer = lambda request: Answer(400)
            call(service, "refused")
            until(lambda: len(service.get("/v1/webhooks").json()["dead_letters"]) == 2)
            state = service.get("/v1/webhooks").json()
            assert state["receivers"][0]["delivered"] == 2
            assert state["receivers"][0]["host"] == "127.0.0.1"
            assert state["receivers"][0]["last_error"]["problem"] == "got HTTP 400, expected 2xx"
            dead = state["dead_letters"][0]
            assert {*dead} == {
                *("id", "receiver", "message", "state", "problem", "attempts", "at", "dead_at")
            }
            receiver.answer = lambda request: Answer()
            with service.client() as client:
                path = f"/v1/webhooks/dead/{dead['id']}/retry"
                assert client.post(path).status_code == 202
                until(lambda: dead["message"] in receiver.accepted)
                assert client.post(path).status_code == 404
            assert service.metric('kanjo_webhook_deliveries_total{receiver="one",result="dead"}')
            audit = service.get("/v1/audit").json()["entries"]
            assert audit[0]["action"] == "sent a webhook again"


def test_what_did_not_arrive_before_a_stop_arrives_after_the_start(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(503)
        with service_with(receiver, tmp_path) as service:
            call(service, "unheard")
            until(lambda: len(receiver.requests) > 0)
        receiver.answer = lambda request: Answer()
        with service_with(receiver, tmp_path) as service:
            until(lambda: len(receiver.accepted) == 2)
            until(lambda: service.metric("kanjo_webhooks_waiting") == 0)
    assert len({*receiver.accepted}) == 2


def test_an_alert_that_the_policy_file_mutes_is_not_told(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[[mutes]]\nqueue = "test calls"\nuntil = 2999-01-01T00:00:00Z\n')
    with receiving() as receiver:
        with service_with(receiver, tmp_path, policy=policy) as service:
            call(service, "muted", metadata={"queue": "test calls"})
            call(service, "told", metadata={"queue": "sales"})
            until(lambda: len(receiver.requests) == 2)
            assert {request.json["data"]["call_id"] for request in receiver.requests} == {"told"}
            assert service.get("/v1/webhooks").json()["receivers"][0]["waiting"] == 0


def test_an_erased_call_leaves_no_notice(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(400)
        with service_with(receiver, tmp_path) as service:
            call(service, "erased")
            until(lambda: len(service.get("/v1/webhooks").json()["dead_letters"]) == 2)
            with service.client() as client:
                assert client.delete("/v1/calls/erased").status_code == 204
            assert service.get("/v1/webhooks").json()["dead_letters"] == []


def test_a_service_does_not_start_with_a_file_that_can_not_be_used(tmp_path: Path) -> None:
    with pytest.raises(WebhooksUnusable, match="cannot be read"):
        with running(webhooks=tmp_path / "nowhere.toml"):
            pass
