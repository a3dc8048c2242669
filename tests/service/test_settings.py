from pathlib import Path

import pytest
from pydantic import ValidationError

from model import MODELS, SHIPPED
from model.artifact import FIRST_RANGE_S, HOP_RANGE_S, ServingSpec
from service.settings import Settings


def refused(**environ: str) -> tuple[tuple[str, ...], str]:
    """Returns the field and the message of the only error in these variables."""
    with pytest.raises(ValidationError) as caught:
        Settings.from_env(environ)
    [problem] = caught.value.errors(include_url=False)
    return tuple(map(str, problem["loc"])), problem["msg"]


def test_without_any_variable_there_is_a_working_default() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.model == SHIPPED
    assert settings.redis_url is None
    assert settings.analyse_agent is None
    assert settings.host == "127.0.0.1"


def test_variables_are_read_by_their_names() -> None:
    settings = Settings.from_env(
        {
            "KANJO_PORT": "9000",
            "KANJO_GATE": "off",
            "KANJO_MODEL": "other.pt",
            "KANJO_HOP_S": "0.5",
            "KANJO_REDIS_URL": "rediss://user:secret@redis:6379/1",
            "KANJO_DEVICE": "cuda:1",
            "PORT": "1",
            "HOME": "/root",
        }
    )
    assert settings.port == 9000
    assert settings.gate is False
    assert settings.model == Path("other.pt")
    assert settings.hop_s == 0.5
    assert settings.redis_url == "rediss://user:secret@redis:6379/1"
    assert settings.device == "cuda:1"


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_has_a_name(name: str) -> None:
    assert Settings.from_env({"KANJO_MODEL": name}).model == MODELS[name]
    assert MODELS[name].is_file()


def test_the_environment_is_read_when_asked_not_when_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KANJO_PORT", "9001")
    assert Settings.from_env().port == 9001
    assert Settings().port == 8000


def test_a_misspelt_variable_is_refused_by_its_name() -> None:
    where, message = refused(KANJO_BATCH_MAX_SZE="16")
    assert where == ("batch_max_sze",)
    assert "not permitted" in message


def test_the_trainings_variables_are_ignored() -> None:
    training = {"KANJO_CORPORA": "/corpora", "KANJO_ENCODER": "/encoder.safetensors"}
    assert Settings.from_env(training) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("DRAIN_S", "-1"),
        ("TRUST_NETWORK", "perhaps"),
        ("AUDIOHOOK_KEYS", ""),
        ("AUDIOHOOK_KEYS", "key"),
        ("AUDIOHOOK_KEYS", "key:not base64!"),
        ("AUDIOHOOK_KEYS", "key:c2VjcmV0,key:c2VjcmV0"),
        ("TWILIO_URL", "https://x/calls/twilio"),
        ("TWILIO_URL", "wss://x/calls/twilio?queue=1"),
        ("PLIVO_URL", "x"),
        ("ASTERISK_USER", "a:b"),
        ("EXOTEL_USER", ""),
        ("NATIVE_TOKEN", ""),
        ("JAMBONZ_PASSWORD", " "),
        ("AUDIOSOCKET_CALLER_PORT", "0"),
        ("START_WITHIN_S", "0"),
        ("IDLE_S", "0"),
        ("AGENT_LEGS", "audiohook"),
        ("AGENT_LEGS", ""),
        ("ANALYSE_AGENT", "yes"),
        ("ANALYSE_AGENT", "            "),
        ("GATE", "perhaps"),
        ("FIRST_S", "0.4"),
        ("FIRST_S", "8"),
        ("HOP_S", "0"),
        ("HOP_S", "nan"),
        ("MAX_CALLS", "0"),
        ("MAX_FRAME_BYTES", "100"),
        ("DEVICE", "tpu"),
        ("DEVICE", "cuda:"),
        ("TORCH_THREADS", "0"),
        ("BATCH_MAX", "0"),
        ("BATCH_MAX", "257"),
        ("BATCH_WAIT_MS", "-1"),
        ("BATCH_WAIT_MS", "inf"),
        ("QUEUE_MAX", "0"),
        ("WINDOW_MAX_AGE_S", "0"),
        ("HOLD_S", "inf"),
        ("RELEASE_S", "-1"),
        ("SMOOTH_S", "nan"),
        ("REDIS_URL", "http://redis"),
        ("REDIS_URL", ""),
        ("RETENTION_DAYS", "0"),
        ("RETENTION_DAYS", "inf"),
        ("CLASSIFY_MAX_S", "inf"),
        ("CLASSIFY_MAX_BYTES", "0"),
        ("ANGER_FIRE_AT", "1.1"),
    ],
)
def test_an_impossible_value_is_refused_by_its_name(variable: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.from_env({f"KANJO_{variable}": value})
    assert [problem["loc"] for problem in caught.value.errors()] == [(variable.lower(),)]


@pytest.mark.parametrize("emotion", ["anger", "happiness"])
@pytest.mark.parametrize(
    ("fire_at", "clear_at", "message"),
    [
        ("0.8", None, "got None and {}_fire_at 0.8, expected both or neither"),
        (None, "0.4", "got 0.4 and {}_fire_at None, expected both or neither"),
        ("0.5", "0.6", "got 0.6, expected at most {}_fire_at, 0.5"),
    ],
)
def test_thresholds_that_do_not_go_together_are_refused(
    emotion: str, fire_at: str | None, clear_at: str | None, message: str
) -> None:
    given = {"FIRE_AT": fire_at, "CLEAR_AT": clear_at}
    environ = {f"KANJO_{emotion.upper()}_{k}": v for k, v in given.items() if v is not None}
    where, text = refused(**environ)
    assert where == (f"{emotion}_clear_at",)
    assert message.format(emotion) in text


def test_thresholds_that_go_together_are_taken() -> None:
    environ = {"KANJO_ANGER_FIRE_AT": "0.7", "KANJO_ANGER_CLEAR_AT": "0.7"}
    settings = Settings.from_env(environ)
    assert (settings.anger_fire_at, settings.anger_clear_at) == (0.7, 0.7)
    assert settings.happiness_clear_at is None


def test_every_setting_has_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert len(field.description) > 5, name


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 9000


def test_a_message_a_little_too_large_is_still_read_so_that_it_gets_a_reply() -> None:
    for max_frame_bytes in (1024, 524_288, 10_000_000):
        assert Settings(max_frame_bytes=max_frame_bytes).ws_max_size >= 2 * max_frame_bytes


SECRETS = {
    "KANJO_AUDIOHOOK_KEYS": "key:c2VzYW1lIG9mIHRoaXMgdGVzdA==,other:",
    "KANJO_TWILIO_URL": "wss://x/calls/twilio",
    "KANJO_TWILIO_AUTH_TOKEN": "sesame of this test",
    "KANJO_TWILIO_SHARED_KEYS": "SK1:sesame of this test, SK2:sesame of this:2",
    "KANJO_FREESWITCH_PASSWORD": "sesame of this test",
}


def test_secrets_are_read_by_their_names_and_never_shown() -> None:
    settings = Settings.from_env(SECRETS)
    assert settings.audiohook_secrets == {"key": b"sesame of this test", "other": None}
    assert settings.twilio_secrets == {"SK1": "sesame of this test", "SK2": "sesame of this:2"}
    assert settings.credentials
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "sesame" not in shown
        assert "c2VzYW1l" not in shown


@pytest.mark.parametrize(
    "environ",
    [
        {"KANJO_AUDIOHOOK_KEYS": "sesame"},
        {"KANJO_AUDIOHOOK_KEYS": "key:sesame!"},
        {"KANJO_TWILIO_URL": "wss://x", "KANJO_TWILIO_SHARED_KEYS": "sesame:"},
        {"KANJO_TWILIO_AUTH_TOKEN": "sesame"},
        {"KANJO_PLIVO_AUTH_TOKEN": "sesame"},
        {"KANJO_NATIVE_TOKN": "sesame"},
    ],
)
def test_a_secret_that_is_refused_is_not_shown_either(environ: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.from_env(environ)
    assert "sesame" not in str(caught.value)
    for problem in caught.value.errors(include_input=False, include_url=False):
        assert "sesame" not in problem["msg"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name, value in SECRETS.items() if not name.endswith("_URL")),
        ("KANJO_REDIS_URL", "redis://:sesame@redis:6379/0"),
    ],
)
def test_a_secret_may_come_from_a_file(name: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{value}\n")
    more = {"KANJO_TWILIO_URL": SECRETS["KANJO_TWILIO_URL"]}
    read = Settings.from_env({f"{name}_FILE": str(file), **more})
    assert read == Settings.from_env({name: value, **more})


def test_a_file_of_a_secret_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for name in ("KANJO_NATIVE_TOKEN", "KANJO_REDIS_URL"):
        where, message = refused(**{f"{name}_FILE": str(tmp_path / "none")})
        assert where == (f"{name.removeprefix('KANJO_').lower()}_file",)
        assert "none': No such file or directory" in message
        file = tmp_path / "secret"
        file.write_text("sesame of this test")
        where, message = refused(**{f"{name}_FILE": str(file), name: "sesame of this test"})
        assert message == f"got {name} too, expected one of the two"
    file.write_bytes(b"\xff\xfe sesame")
    where, message = refused(KANJO_NATIVE_TOKEN_FILE=str(file))
    assert "sesame" not in message
    where, message = refused(KANJO_PORT_FILE=str(file))  # no secret
    assert "not permitted" in message


def test_a_signing_secret_needs_the_address_that_is_signed() -> None:
    for bridge in ("twilio", "plivo"):
        where, message = refused(**{f"KANJO_{bridge.upper()}_AUTH_TOKEN": "sesame of this test"})
        assert where == (f"{bridge}_auth_token",)
        assert f"got no {bridge}_url, expected the public address that is signed" in message


def test_a_bridge_may_be_connected_to_the_agents_leg() -> None:
    settings = Settings.from_env({"KANJO_AGENT_LEGS": "twilio, freeswitch"})
    assert settings.agent_legs == {"twilio", "freeswitch"}
    assert Settings().agent_legs is None


@pytest.mark.parametrize(
    ("host", "more", "listens_at"),
    [
        ("127.0.0.1", {}, "127.0.0.1"),
        ("127.0.0.2", {}, "127.0.0.2"),
        ("localhost", {}, "localhost"),
        ("::1", {}, "::1"),
        ("0.0.0.0", {}, "127.0.0.1"),
        ("::", {}, "127.0.0.1"),
        ("10.0.0.7", {}, "127.0.0.1"),
        ("kanjo.example.com", {}, "127.0.0.1"),
        ("0.0.0.0", {"native_token": "t" * 16}, "0.0.0.0"),
        ("0.0.0.0", {"twilio_token": "t" * 16}, "0.0.0.0"),
        ("0.0.0.0", {"twilio_url": "wss://x"}, "127.0.0.1"),
        ("0.0.0.0", {"trust_network": "true"}, "0.0.0.0"),
    ],
)
def test_it_listens_beyond_loopback_only_with_credentials_or_trust(
    host: str, more: dict[str, str], listens_at: str
) -> None:
    assert Settings.model_validate({"host": host, **more}).listens_at == listens_at


@pytest.mark.parametrize(("name", "bounds"), [("first_s", FIRST_RANGE_S), ("hop_s", HOP_RANGE_S)])
def test_the_windows_of_a_call_have_the_range_of_a_model_s(
    name: str, bounds: tuple[float, float]
) -> None:
    for seconds in bounds:
        assert getattr(Settings.from_env({f"KANJO_{name.upper()}": str(seconds)}), name) == seconds
        ServingSpec(**{name: seconds})
    assert getattr(Settings(), name) is None
    for seconds in (bounds[0] - 0.01, bounds[1] + 0.01):
        refused(**{f"KANJO_{name.upper()}": str(seconds)})
        with pytest.raises(ValueError, match=name):
            ServingSpec(**{name: seconds})


def test_a_proxys_header_and_its_addresses_go_together() -> None:
    header, addresses = "KANJO_PROXY_USER_HEADER", "KANJO_PROXY_ADDRESSES"
    made = Settings.from_env({header: "X-Forwarded-User", addresses: "10.0.0.5, fd00::/64"})
    assert {str(network) for network in made.proxy_addresses or ()} == {"10.0.0.5/32", "fd00::/64"}
    assert made.proxy_role == "viewer"
    for environ, sentence in (
        ({header: "X-User"}, "got proxy_user_header and no proxy_addresses, expected both"),
        ({addresses: "10.0.0.5"}, "got proxy_addresses and no proxy_user_header, expected both"),
        ({header: "X-User", addresses: "proxy"}, "got 'proxy', expected IP addresses"),
        ({header: "X-User", addresses: "10.0.0.5/8"}, "got '10.0.0.5/8', expected IP addresses"),
        ({header: "X-User", addresses: ""}, "got '', expected IP addresses"),
        ({header: "X-User", addresses: "0.0.0.0/0"}, "which is every address"),
    ):
        with pytest.raises(ValidationError, match=sentence):
            Settings.from_env(environ)


def test_single_sign_on_needs_all_that_it_needs() -> None:
    every = {
        "KANJO_OIDC_ISSUER": "https://id.example/realm",
        "KANJO_OIDC_CLIENT_ID": "kanjo",
        "KANJO_OIDC_CLIENT_SECRET": "s" * 16,
    }
    made = Settings.from_env({**every, "KANJO_OIDC_ROLES": "a:b:operator, ops:admin"})
    assert made.oidc_roles == {"a:b": "operator", "ops": "admin"}
    for name in every:
        less = {key: value for key, value in every.items() if key != name}
        with pytest.raises(ValidationError, match=f"and no {name[6:].lower()}, expected all"):
            Settings.from_env(less)
    for name, value, sentence in (
        ("KANJO_OIDC_ISSUER", "http://id.example", "expected https://HOST"),
        ("KANJO_OIDC_ROLES", "ops:root", "got 'ops:root', expected `value:role`"),
        ("KANJO_OIDC_ROLES", "ops", "got 'ops', expected `value:role`"),
        ("KANJO_OIDC_ROLES", "ops:admin,ops:viewer", "each value once"),
    ):
        with pytest.raises(ValidationError, match=sentence):
            Settings.from_env({**every, name: value})


def test_facts_are_mapped_to_parameters_each_to_several_if_wanted() -> None:
    made = Settings.from_env({"KANJO_FACTS": "queue=cc_queue, queue=Queue,agent=x=y"})
    assert made.facts == {"queue": ("cc_queue", "Queue"), "agent": ("x=y",)}


@pytest.mark.parametrize("text", ["queue", "queue=", "mood=x", "queue=a,,agent=b", ""])
def test_facts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="expected `fact=parameter`"):
        Settings.from_env({"KANJO_FACTS": text})


def test_the_address_of_calls_is_checked_at_the_start() -> None:
    url = "https://pbx.example/monitor?id={call_id}"
    assert Settings.from_env({"KANJO_CALL_URL": url}).call_url == url
    with pytest.raises(ValidationError, match="got the field 'agent', expected only call_id"):
        Settings.from_env({"KANJO_CALL_URL": "https://pbx.example/{agent}"})
