import pytest

from service.telephony.shared.public_url import spellings


@pytest.mark.parametrize("url", ["wss://x.example.com/a", "wss://x.example.com:443/a/"])
def test_the_default_port_and_the_last_slash_are_optional(url: str) -> None:
    assert spellings(url) == [
        "wss://x.example.com/a",
        "wss://x.example.com/a/",
        "wss://x.example.com:443/a",
        "wss://x.example.com:443/a/",
    ]


def test_another_port_is_not_optional() -> None:
    assert spellings("wss://x.example.com:8443/a") == [
        "wss://x.example.com:8443/a",
        "wss://x.example.com:8443/a/",
    ]
