from pathlib import Path
from typing import Any

import pytest

from service.webhooks.errors import WebhooksUnusable
from service.webhooks.receivers import PAGERDUTY_URL, load_receivers
from tests.service.webhooks.harness import toml
from tests.service.webhooks.http_receiver import KEY, SECRET

URL = "https://example.org/hook-of-ours"


def load(folder: Path, text: str) -> Any:
    path = folder / "webhooks.toml"
    path.write_text(text)
    return load_receivers(path)


def test_a_file_of_receivers_is_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "slack").write_text(f"{URL}\n")
    text = toml(
        own={"url": URL, "secret": SECRET, "queues": ["support"], "states": ["firing"]},
        chat={"preset": "slack", "url_file": "slack", "emotions": ["anger", "happiness"]},
        pager={"preset": "pagerduty", "secret_file": "key", "most_per_call_s": 60},
    )
    own, chat, pager = load(tmp_path, text).values()
    assert own.wants("support", "anger", "firing")
    assert not own.wants("sales", "anger", "firing")
    assert not own.wants(None, "anger", "firing")
    assert not own.wants("support", "anger", "resolved")
    assert not own.wants("support", "happiness", "firing")
    assert chat.wants(None, "happiness", "resolved")
    assert (chat.url.get_secret_value(), chat.host) == (URL, "example.org")
    assert pager.url.get_secret_value() == PAGERDUTY_URL
    assert pager.secret.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": URL}, "receivers.one: got no secret, expected whsec_"),
        ({"url": URL, "secret": "hunter2-hunter2-1"}, "got a secret without whsec_"),
        ({"url": URL, "secret": "whsec_???"}, "got a secret that is no base64"),
        ({"url": URL, "secret": "whsec_aHVudGVyMg=="}, "got a secret of 7 bytes"),
        ({"secret": SECRET}, "receivers.one.url: Field required"),
        ({"url": "http://example.org", "secret": SECRET}, "without TLS"),
        ({"url": "ftp://example.org", "secret": SECRET}, "got a url that is none"),
        ({"url": "https://example.org:port", "secret": SECRET}, "got a url that is none"),
        ({"url": "https://u:hunter2@example.org", "secret": SECRET}, "with a user"),
        ({"url": URL, "secret": SECRET, "secret_file": "x"}, "expected one of the two"),
        ({"url": URL, "secret_file": "hunter2"}, "cannot read secret_file: No such file"),
        ({"url": URL, "preset": "slack", "secret": SECRET}, "the url of slack is the secret"),
        ({"preset": "pagerduty", "secret": "hunter2"}, "got no integration key"),
        ({"url": URL, "preset": "irc"}, "receivers.one.preset: Input should be 'standard'"),
        ({"url": URL, "secret": SECRET, "states": ["taken"]}, "receivers.one.states.0: "),
        ({"url": URL, "secret": SECRET, "emotions": ["fear"]}, "receivers.one.emotions.0: "),
        ({"url": URL, "secret": SECRET, "most_per_call_s": -1}, "greater than or equal to 0"),
        ({"url": URL, "secret": SECRET, "colour": "red"}, "receivers.one.colour: Extra"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_without_the_value(
    tmp_path: Path, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(WebhooksUnusable) as refused:
        load(tmp_path, toml(one=fields))
    assert sentence in str(refused.value)
    for secret in (SECRET, "hunter2", URL):
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[receivers", "is no TOML"),
        ("", "receivers: Field required"),
        ("[receivers.'A name']\n", "receivers.A name: String should match"),
        ("#" * 70_000, "more than 65536 bytes"),
    ],
)
def test_what_is_no_file_of_receivers_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(WebhooksUnusable, match=sentence):
        load(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WebhooksUnusable, match="cannot be read: No such file"):
        load_receivers(tmp_path / "nowhere.toml")
