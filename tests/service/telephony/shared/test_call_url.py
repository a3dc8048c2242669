import pytest

from service.telephony.shared.call_url import UrlTemplate, is_web_address


def test_values_are_percent_encoded_and_cannot_leave_their_place() -> None:
    template = UrlTemplate("https://pbx.example/call/{call_id}?q={queue}")
    values = {"call_id": "a/../b?c#d", "queue": "ä&x=1\r\n"}
    assert template.address(values) == (
        "https://pbx.example/call/a%2F..%2Fb%3Fc%23d?q=%C3%A4%26x%3D1%0D%0A"
    )


def test_without_a_value_there_is_no_address() -> None:
    template = UrlTemplate("http://pbx/{call_id}/{queue}")
    assert template.address({"call_id": "c1", "queue": None}) is None
    assert template.address({"call_id": "c" * 128, "queue": "€" * 128}) is None  # too long


@pytest.mark.parametrize(
    "template",
    [
        "ftp://pbx.example/{call_id}",
        "javascript:alert({call_id})",
        "//pbx.example/{call_id}",
        "https://{call_id}.example/",
        "https://pbx.example{call_id}",
        "https:///{call_id}",
        "https://pbx.example/{agent}",
        "https://pbx.example/{call_id.__class__}",
        "https://pbx.example/{call_id!r}",
        "https://pbx.example/{call_id:>99}",
        "https://pbx.example/{}",
        "https://pbx.example/{call_id",
        "https://pbx.example/with space",
        "",
    ],
)
def test_another_template_is_refused_with_what_was_expected(template: str) -> None:
    with pytest.raises(ValueError, match="got .*expected"):
        UrlTemplate(template)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://pbx.example:8443/a?b=c#d", True),
        ("HTTP://pbx.example", True),
        ("https://[::1]/", True),
        ("https://", False),
        ("data:text/html,x", False),
        ("https://user@pbx.example", False),
        ("https://pbx.example/<script>", False),
        ("https://pbx.example:99999/", False),
        ("https://pbx.example/" + "x" * 1_024, False),
    ],
)
def test_a_web_address_is_http_or_https_with_a_host(text: str, is_one: bool) -> None:
    assert is_web_address(text) is is_one
