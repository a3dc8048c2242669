import pytest

from service.events import CallFacts, CallStarted, Consent, Track
from service.telephony.shared.call_url import UrlTemplate
from service.telephony.shared.facts import FACTS, FactReader


def started(bridge: str = "native", **metadata: str) -> CallStarted:
    return CallStarted("c1", bridge, (Track.CALLER,), 8000, metadata)


def test_what_is_called_as_a_fact_is_one_and_the_rest_stays_metadata() -> None:
    read = FactReader().read(
        started(callerNumber="+49 30 1234567", queue="billing", agent="Ann", **{"x": "1"})
    )
    assert read.facts == CallFacts(caller_number="+49 30 1234567", queue="billing", agent="Ann")
    assert read.metadata == {"x": "1"}
    assert read.consent is Consent.UNKNOWN


def test_the_setting_comes_first_then_the_protocol_then_the_common_name() -> None:
    metadata = {"queue": "common", "q1": "", "q2": "mapped", "from": "+1", "caller_number": "+2"}
    reader = FactReader({"telnyx": {"caller_number": "from"}}, {"queue": ("q0", "q1", "q2")})
    read = reader.read(started("telnyx", **metadata))
    assert (read.facts.queue, read.facts.caller_number) == ("mapped", "+1")
    assert read.metadata == {"queue": "common", "q1": "", "caller_number": "+2"}
    assert reader.read(started("native", **metadata)).facts.caller_number == "+2"


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("caller_number", "1" * 65),
        ("queue", "q" * 129),
        ("language", "not a language"),
        ("call_url", "javascript:alert(1)"),
        ("call_url", "https://user:pass@pbx.example/"),
        ("consent", "perhaps"),
    ],
)
def test_what_does_not_fit_a_fact_stays_metadata(fact: str, value: str) -> None:
    read = FactReader().read(started(**{fact: value}))
    assert read.facts == CallFacts()
    assert read.metadata == {fact: value}


def test_controls_and_what_turns_text_are_removed() -> None:
    read = FactReader().read(started(queue=" bil\u202eling\x00 "))
    assert read.facts.queue == "billing"


def test_an_agents_name_is_left_nowhere_in_the_metadata() -> None:
    metadata = {"agent": "Ann Lee", "cc_agent": "Ann Lee", "note": "to Ann Lee", "x": "y"}
    read = FactReader(mapped={"agent": ("cc_agent",)}).read(started(**metadata))
    assert read.facts.agent == "Ann Lee"
    assert read.metadata == {"note": "to …", "x": "y"}


@pytest.mark.parametrize(
    ("said", "consent"),
    [("given", Consent.GIVEN), ("Yes", Consent.GIVEN), ("NO", Consent.REFUSED)],
)
def test_consent_is_said_by_metadata(said: str, consent: Consent) -> None:
    read = FactReader(mapped={"consent": ("recording_ok",)}).read(started(recording_ok=said))
    assert read.consent is consent
    assert read.metadata == {}


def test_a_template_gives_an_address_where_the_provider_gives_none() -> None:
    reader = FactReader(
        call_url=UrlTemplate("https://pbx.example/m?id={call_id}&n={caller_number}")
    )
    assert reader.read(started()).facts.call_url is None  # no number is known
    read = reader.read(started(caller_number="+49 30&x"))
    assert read.facts.call_url == "https://pbx.example/m?id=c1&n=%2B49%2030%26x"
    own = reader.read(started(caller_number="+49", call_url="https://other.example/1"))
    assert own.facts.call_url == "https://other.example/1"


def test_facts_of_a_later_stream_fill_what_is_not_known() -> None:
    first, later = CallFacts(queue="a", agent="Ann"), CallFacts(queue="b", language="de")
    assert first.extended(later) == CallFacts(queue="a", agent="Ann", language="de")


def test_the_facts_are_those_that_settings_may_name() -> None:
    assert FACTS == (
        "caller_number",
        "called_number",
        "queue",
        "agent",
        "language",
        "call_url",
        "consent",
    )
