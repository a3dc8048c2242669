"""Telephone numbers are whole for those whose role may see them, and masked for others."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.access.database import AccessDatabase
from service.access.identity import Identity
from service.access.roles import LOGIN_ROLES, Role
from service.api.access import ROLES
from service.api.numbers import Numbers, masked, masked_event, without_numbers
from service.events import CallFacts, Track
from service.store.views import CallView, StreamEvent
from tests.service.api.conftest import Running, ready, receive_until, running, start, until

CALLER, CALLED = "+49 30 1234567", "+493099887766"
METADATA = {
    "caller_number": CALLER,
    "called_number": CALLED,
    "queue": "billing",
    "same": "49301234567",
    "national": "030/1234567",
    "in_words": "called from 0049 (30) 123-45-67 today",
    "another": "transfer to +44 20 7946 0958",
    "encoded": "n=%2B493099887766&x=1",
    "order": "12345",
    "call_url": "https://pbx.example/m?n=%2B49301234567",
}
SECRET = re.compile(r"30 ?1234567|0/1234567|123-45-67|3099887766|20 7946")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+49301234567", "+49 … 67"),
        ("+1 (555) 010-0199", "+15 … 99"),
        ("030 1234567", "… 67"),
        ("4711", "…"),
        ("anonymous", "…"),
        ("sip:+49301234567@example.com", "… 67"),
    ],
)
def test_a_masked_number_has_its_country_and_its_last_two_digits(number: str, shown: str) -> None:
    assert masked(number) == shown


def view(call_url: str | None = METADATA["call_url"], **metadata: str) -> CallView:
    facts = CallFacts(caller_number=CALLER, called_number=CALLED, queue="7", call_url=call_url)
    return CallView(
        call_id="c1",
        session="s1",
        bridge="native",
        tracks=[Track.CALLER],
        metadata=metadata,
        facts=facts,
        state="live",
        started_at=1.0,
        last={},
    )


def test_metadata_that_repeat_a_number_are_masked_however_it_is_spelled() -> None:
    hidden = without_numbers(view(**METADATA))
    assert not SECRET.search(hidden.model_dump_json())
    assert hidden.facts.queue == "7"
    assert hidden.facts.call_url is None
    assert (hidden.metadata["queue"], hidden.metadata["order"]) == ("billing", "12345")
    assert hidden.metadata["in_words"] == "called from … 67 today"
    other = without_numbers(view("https://pbx.example/1"))
    assert other.facts.call_url == "https://pbx.example/1"


def test_a_user_without_digits_is_masked_where_it_stands_alone() -> None:
    facts = replace(view().facts, caller_number="al", call_url=None)
    called = view(user="al", word="also").model_copy(update={"facts": facts})
    hidden = without_numbers(called)
    assert hidden.metadata == {"user": "…", "word": "also"}
    assert hidden.facts.caller_number == "…"


def test_long_metadata_of_digits_are_masked_at_once() -> None:
    hidden = without_numbers(view(**{str(n): "+1 2" * 256 for n in range(32)}))
    assert len(hidden.metadata) == 32


@pytest.mark.parametrize("needed", LOGIN_ROLES)
def test_events_and_calls_are_masked_below_the_role_that_is_set(needed: Role) -> None:
    numbers = Numbers(needed)
    event = StreamEvent("1-0", "call_started", view(**METADATA).model_dump_json())
    for role in (Role.METRICS, *LOGIN_ROLES):
        identity = Identity("x", role, "token")
        whole = role.includes(needed)
        assert numbers.whole_for(identity) is whole
        shown = numbers.call(identity, view(**METADATA)).model_dump_json()
        assert bool(SECRET.search(shown)) is whole
    assert masked_event(event).count("…") >= 2
    assert not SECRET.search(masked_event(event))


# Every route, asked by every role.


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Role, str]]:
    state = tmp_path_factory.mktemp("state")
    database = AccessDatabase(state / "access.sqlite3")
    return state, {role: database.create_token(f"a {role}", role, None) for role in Role}


@pytest.fixture(scope="module")
def closed(tokens: tuple[Path, dict[Role, str]]) -> Iterator[Running]:
    with running(state_dir=tokens[0]) as server:
        yield ready(server)


def test_no_route_tells_a_number_to_those_who_may_not_see_it(
    closed: Running, tokens: tuple[Path, dict[Role, str]]
) -> None:
    headers = {role: {"Authorization": f"Bearer {token}"} for role, token in tokens[1].items()}
    with (
        closed.socket(additional_headers=headers[Role.BRIDGE]) as earlier,
        closed.socket(additional_headers=headers[Role.BRIDGE]) as native,
    ):
        earlier.send(start("c0"))
        receive_until(earlier, "started")
        viewer = headers[Role.VIEWER]
        until(lambda: closed.get("/v1/calls/c0", headers=viewer).status_code == 200)
        cursor = closed.get("/v1/calls", headers=viewer).json()["cursor"]
        native.send(start("c1", metadata=METADATA))
        receive_until(native, "started")
        until(lambda: closed.get("/v1/calls/c1", headers=viewer).status_code == 200)
        seen: set[str] = set()
        for role in Role:
            whole = role.includes(Role.OPERATOR)
            for path in ROLES:
                asked = path.replace("{path:path}", "main.js").replace("{call_id:path}", "c1")
                if path.endswith("/events"):
                    continue  # streams without an end, below
                with closed.client() as client:
                    told = client.get(asked, headers=headers[role], follow_redirects=True).text
                if SECRET.search(told):
                    assert whole, (role, path)
                    seen.add(path)
            if role.includes(Role.VIEWER):
                url = f"/v1/events?after={cursor}"
                with (
                    closed.client() as client,
                    client.stream("GET", url, headers=headers[role]) as told_events,
                ):
                    lines = told_events.iter_lines()
                    told_start = next(line for line in lines if line.startswith('data: {"call_id"'))
                shown = json.loads(told_start.removeprefix("data: "))
                assert bool(SECRET.search(json.dumps(shown))) is whole
                assert shown["facts"]["queue"] == "billing"
        assert {"/v1/calls", "/v1/calls/{call_id:path}"} <= seen
