import base64
import hashlib
import hmac
from collections.abc import Mapping
from http import HTTPStatus

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import InvalidStatus

from service.events import Track
from service.telephony.audiohook.auth import AudioHookAuthenticator
from service.telephony.audiohook.client import AudioHookClient, signature
from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.client import ClientCredentials
from service.telephony.shared.recording import Recording

KEY = "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"
SECRET = base64.b64decode("TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU=")
CREATED = 1641013200
NONCE = "VGhpc0lzQVVuaXF1ZU5vbmNl"
TARGET = "/api/v1/voicebiometrics/ws"
COMPONENTS = {
    "@request-target": TARGET,
    "@authority": "audiohook.example.com",
    "audiohook-organization-id": "d7934305-0972-4844-938e-9060eef73d05",
    "audiohook-session-id": "30b0e395-84d3-4570-ac13-9a62d8f514c0",
    "audiohook-correlation-id": "e160e428-53e2-487c-977d-96989bf5c99d",
    "x-api-key": KEY,
}
HEADERS = {
    "host": "audiohook.example.com",
    **{name: value for name, value in COMPONENTS.items() if name[0] != "@"},
}
PARAMETERS = {
    "keyid": f'"{KEY}"',
    "nonce": f'"{NONCE}"',
    "alg": '"hmac-sha256"',
    "created": str(CREATED),
    "expires": "3282026430",
}
# The example of the AudioHook documentation.
GOLDEN = "NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4="


def signed(
    components: Mapping[str, str] = COMPONENTS,
    parameters: Mapping[str, str | None] = {},
    secret: bytes = SECRET,
    label: str = "sig1",
) -> dict[str, str]:
    """Returns the headers of a handshake with a signature of these components."""
    present = {k: v for k, v in {**PARAMETERS, **parameters}.items() if v is not None}
    text = "".join(f";{name}={value}" for name, value in present.items())
    names = " ".join(f'"{name}"' for name in components)
    lines = [f'"{name}": {value}' for name, value in components.items()]
    base = "\n".join((*lines, f'"@signature-params": ({names}){text}'))
    digest = hmac.digest(secret, base.encode(), hashlib.sha256)
    return {
        **HEADERS,
        "signature-input": f"{label}=({names}){text}",
        "signature": f"{label}=:{base64.b64encode(digest).decode()}:",
    }


def authenticator() -> AudioHookAuthenticator:
    return AudioHookAuthenticator({KEY: SECRET, "bare": None})


def reason(
    headers: Mapping[str, str], now: float = CREATED + 1, by: AudioHookAuthenticator | None = None
) -> str | None:
    """Returns why these headers are refused; None if they are accepted."""
    try:
        (by or authenticator()).check(Handshake(TARGET, headers), now)
    except Unauthorized as refusal:
        return refusal.reason
    return None


def test_the_documented_example_is_accepted() -> None:
    headers = signed()
    assert headers["signature"] == f"sig1=:{GOLDEN}:"
    assert reason(headers) is None


@given(
    order=st.permutations(list(COMPONENTS)),
    parameters=st.permutations(list(PARAMETERS)),
    label=st.sampled_from(["sig1", "sig2", "*a.b-c"]),
)
def test_any_order_and_label_is_accepted(
    order: list[str], parameters: list[str], label: str
) -> None:
    headers = signed(
        {name: COMPONENTS[name] for name in order},
        {name: None for name in PARAMETERS} | {name: PARAMETERS[name] for name in parameters},
        label=label,
    )
    assert reason(headers) is None


def test_more_components_may_be_signed() -> None:
    headers = {**signed({**COMPONENTS, "user-agent": "GenesysCloud"}), "user-agent": "GenesysCloud"}
    assert reason(headers) is None
    assert reason({**headers, "user-agent": "other"}) == "wrong_signature"


def test_a_signature_is_found_among_others() -> None:
    mine, other = signed(label="b"), signed({"x-api-key": KEY}, label="a")
    both = {name: f"{other[name]} ,\t{mine[name]}" for name in ("signature", "signature-input")}
    assert reason({**mine, **both}) is None


def test_optional_white_space_is_not_part_of_the_signature() -> None:
    headers = signed()
    spaced = headers["signature-input"].replace("(", "(  ").replace(";nonce", ";  nonce")
    assert reason({**headers, "signature-input": f"  {spaced} "}) is None


def test_the_default_port_and_the_case_of_the_host_do_not_matter() -> None:
    assert reason({**signed(), "host": "AudioHook.Example.com:443"}) is None
    assert reason({**signed(), "host": "audiohook.example.com:8443"}) == "wrong_signature"


@pytest.mark.parametrize("name", [name for name in COMPONENTS if name != "x-api-key"])
def test_each_signed_component_is_checked(name: str) -> None:
    assert reason(signed({**COMPONENTS, name: "other"})) == "wrong_signature"


@pytest.mark.parametrize("name", list(COMPONENTS))
def test_each_component_must_be_signed(name: str) -> None:
    components = {key: value for key, value in COMPONENTS.items() if key != name}
    assert reason(signed(components)) == "missing"


@pytest.mark.parametrize("name", [name for name in HEADERS if name not in ("host", "x-api-key")])
def test_a_signed_header_must_come(name: str) -> None:
    assert reason({k: v for k, v in signed().items() if k != name}) == "missing"


def test_another_secret_is_refused() -> None:
    assert reason(signed(secret=b"other")) == "wrong_signature"


def test_an_unknown_key_is_refused_with_and_without_a_signature() -> None:
    components = {**COMPONENTS, "x-api-key": "unknown"}
    headers = signed(components, {"keyid": '"unknown"'})
    assert reason({**headers, "x-api-key": "unknown"}) == "wrong_key"
    assert reason({"x-api-key": "unknown"}) == "wrong_key"
    assert reason({"x-api-key": "un\udc80known"}) == "wrong_key"


def test_keyid_must_be_the_api_key() -> None:
    assert reason(signed(parameters={"keyid": '"bare"'})) == "wrong_key"
    assert reason(signed(parameters={"keyid": None})) == "wrong_key"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"nonce": None}, "malformed"),
        ({"nonce": f'"{"n" * 21}"'}, "malformed"),
        ({"nonce": f'"{"n" * 22}"'}, None),
        ({"nonce": f'"{"n" * 257}"'}, "malformed"),
        ({"nonce": '"' + '\\"' * 22 + '"'}, None),
        ({"created": None}, "malformed"),
        ({"created": '"1641013200"'}, "malformed"),
        ({"created": "-5"}, "malformed"),
        ({"expires": None}, None),
        ({"expires": '"soon"'}, "malformed"),
        ({"expires": str(CREATED + 1)}, "stale"),
        ({"expires": str(CREATED + 2)}, None),
        ({"alg": None}, None),
        ({"alg": '"rsa-pss-sha512"'}, "malformed"),
    ],
)
def test_parameters_are_checked(parameters: dict[str, str | None], expected: str | None) -> None:
    assert reason(signed(parameters=parameters)) == expected


@pytest.mark.parametrize(
    ("age_s", "expected"), [(-3.5, "stale"), (-3, None), (0, None), (10, None), (10.5, "stale")]
)
def test_a_signature_is_valid_for_a_short_time(age_s: float, expected: str | None) -> None:
    assert reason(signed(), CREATED + age_s) == expected


def test_a_replay_is_refused_for_as_long_as_it_would_be_accepted() -> None:
    by = authenticator()
    assert reason(signed(), CREATED - 3, by) is None
    for age_s in (-3, 0, 10):
        assert reason(signed(), CREATED + age_s, by) == "replayed"
    assert reason(signed(parameters={"nonce": f'"{"m" * 22}"'}), CREATED, by) is None


def test_a_wrong_signature_stores_no_nonce() -> None:
    by = authenticator()
    assert reason(signed(secret=b"other"), CREATED, by) == "wrong_signature"
    assert reason(signed(), CREATED, by) is None


def test_stored_nonces_expire_and_are_bounded() -> None:
    by = AudioHookAuthenticator({KEY: SECRET}, max_nonces=4)
    for number in range(10):
        nonce = {"nonce": f'"{number:022}"'}
        assert reason(signed(parameters=nonce), CREATED, by) is None
        assert len(by.nonces) <= 4
    later = {"created": str(CREATED + 60), "nonce": f'"{"later":>22}"'}
    assert reason(signed(parameters=later), CREATED + 60, by) is None
    assert len(by.nonces) == 1


def test_without_a_secret_the_key_is_enough() -> None:
    assert reason({"x-api-key": " bare\t"}) is None


def test_without_a_secret_a_signature_is_refused() -> None:
    headers = signed({**COMPONENTS, "x-api-key": "bare"}, {"keyid": '"bare"'}, b"")
    assert reason({**headers, "x-api-key": "bare"}) == "wrong_signature"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        HEADERS,
        {k: v for k, v in signed().items() if k != "signature"},
        {k: v for k, v in signed().items() if k != "signature-input"},
        {**signed(), "signature": f"other=:{GOLDEN}:"},
    ],
)
def test_required_headers_must_come(headers: dict[str, str]) -> None:
    assert reason(headers) == "missing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signature", "sig1=:%%%%:"),
        ("signature", "sig1=:abc:"),
        ("signature", f"sig1=:{GOLDEN}:,"),
        ("signature", f"sig1=:{GOLDEN}: x"),
        ("signature-input", "sig1"),
        ("signature-input", 'sig1=("a" "b"'),
        ("signature-input", 'sig1=("a";sf);created=1'),
        ("signature-input", 'sig1=("a" "a");created=1'),
        ("signature-input", 'sig1=("a");created=1;created=2'),
        ("signature-input", 'sig1=("a\x7f");created=1'),
        ("signature-input", "sig1=(" + " " * 8_000 + "!"),
        ("signature-input", 'sig1=("' + '\\"' * 4_000),
    ],
)
def test_unreadable_fields_are_malformed(name: str, value: str) -> None:
    assert reason({**signed(), name: value}) == "malformed"


@given(st.dictionaries(st.sampled_from([*signed()]), st.text(max_size=60)), st.floats(0, 4e9))
def test_no_header_raises_anything_else(headers: dict[str, str], now: float) -> None:
    assert reason({**signed(), **headers}, now) is not None or not headers


async def test_the_client_signs_what_the_server_receives() -> None:
    by = authenticator()
    refused: list[str] = []

    def process(connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        try:
            by.check(Handshake(request.path, headers), CREATED + 1)
        except Unauthorized as refusal:
            refused.append(refusal.reason)
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        return None

    async def answer(connection: ServerConnection) -> None:
        await connection.send("in")

    def client(url: str, secret: bytes) -> AudioHookClient:
        silence = Recording("r", (Track.CALLER,), np.zeros((0, 1), np.int16))
        credentials = ClientCredentials(api_key=KEY, secret=base64.b64encode(secret).decode())
        return AudioHookClient("c", silence, url=url, credentials=credentials, now=lambda: CREATED)

    async with serve(answer, "127.0.0.1", 0, process_request=process) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://LocalHost:{port}/calls/audiohook?tenant=a%20b"
        right = client(url, SECRET).headers()
        async with connect(url, additional_headers=right, proxy=None) as socket:
            assert await socket.recv() == "in"
        with pytest.raises(InvalidStatus):
            await connect(url, additional_headers=right, proxy=None)
        with pytest.raises(InvalidStatus):
            await connect(url, additional_headers=client(url, b"x").headers(), proxy=None)
    assert refused == ["replayed", "wrong_signature"]


def test_no_two_signatures_are_the_same() -> None:
    assert signature(COMPONENTS, KEY, SECRET, 1) != signature(COMPONENTS, KEY, SECRET, 1)
