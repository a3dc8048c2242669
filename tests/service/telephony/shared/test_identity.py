import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telephony.shared import identity


@pytest.mark.parametrize("said", ["1", "CA5b1c", "v3:a/b+c=", "x" * 128, "日本"])
def test_a_printable_text_names_a_call(said: str) -> None:
    assert identity.call_id(said) == said


@pytest.mark.parametrize("said", ["", "x" * 129, "a\nb", "\x00", "\ud800", 5, None, ["a"]])
def test_nothing_else_does(said: object) -> None:
    assert identity.call_id(said) is None


def test_metadata_are_texts_and_what_is_none_is_told_as_json() -> None:
    said = {"a": "x", "b": 5, "c": True, "d": None, "e": ["x", {"y": 1}]}
    assert identity.metadata(said) == {"a": "x", "b": "5", "c": "true", "e": '["x", {"y": 1}]'}


def test_metadata_are_cut_to_what_is_kept() -> None:
    told = identity.metadata({f"{number:03}" * 100: "x" * 2_000 for number in range(99)})
    assert len(told) == 32
    assert all(len(name) == 128 and len(value) == 1_024 for name, value in told.items())


@given(said=st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_metadata_can_always_be_sent_on(said: dict[str, object]) -> None:
    told = identity.metadata(said)
    json.dumps(told).encode()
    assert all(text.encode().decode() == text for pair in told.items() for text in pair)


def test_halves_of_characters_are_replaced() -> None:
    assert identity.metadata({"a\ud800": "\udfff!"}) == {"a?": "?!"}
