import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telephony.shared import identity


@pytest.mark.parametrize("value", ["1", "CA5b1c", "v3:a/b+c=", "x" * 128, "日本"])
def test_a_printable_text_names_a_call(value: str) -> None:
    assert identity.call_id(value) == value


@pytest.mark.parametrize("value", ["", "x" * 129, "a\nb", "\x00", "\ud800", 5, None, ["a"]])
def test_other_values_name_no_call(value: object) -> None:
    assert identity.call_id(value) is None


def test_metadata_are_texts_and_other_values_become_json() -> None:
    value = {"a": "x", "b": 5, "c": True, "d": None, "e": ["x", {"y": 1}]}
    assert identity.metadata(value) == {"a": "x", "b": "5", "c": "true", "e": '["x", {"y": 1}]'}


def test_metadata_are_cut_to_what_is_kept() -> None:
    metadata = identity.metadata({f"{number:03}" * 100: "x" * 2_000 for number in range(99)})
    assert all(len(name) == 128 and len(value) == 1_024 for name, value in metadata.items())
    assert len(metadata) == 16_384 // (128 + 1_024)
    assert len(identity.metadata({str(number): "x" for number in range(99)})) == 32


@given(value=st.dictionaries(st.text(), st.text(max_size=3_000), max_size=40))
def test_metadata_are_bounded_in_bytes(value: dict[str, object]) -> None:
    big = {name: f"{text}日" * 1_024 for name, text in value.items()}
    metadata = identity.metadata(big)
    assert sum(len((name + text).encode()) for name, text in metadata.items()) <= 16_384


def test_characters_that_could_deceive_a_reader_are_removed() -> None:
    turned = "a\u202eb\u2066c\u200f\u061c\ufeff\x00\x1b\x9f"
    assert identity.metadata({turned: turned}) == {"abc": "abc"}
    assert identity.metadata({"lines": "one\ntwo\tthree"}) == {"lines": "one two three"}
    assert identity.metadata({"name": "José 日本 نور 👩\u200d🔧"}) == {
        "name": "José 日本 نور 👩\u200d🔧"
    }


@given(value=st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_metadata_can_always_be_sent_on(value: dict[str, object]) -> None:
    metadata = identity.metadata(value)
    json.dumps(metadata).encode()
    assert all(text.encode().decode() == text for pair in metadata.items() for text in pair)


def test_halves_of_characters_are_replaced() -> None:
    assert identity.metadata({"a\ud800": "\udfff!"}) == {"a?": "?!"}
