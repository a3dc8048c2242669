"""Every setting, from the environment: `KANJO_` and the field's name in capitals."""

import base64
import binascii
import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from model import SHIPPED

PREFIX = "KANJO_"
NOT_OURS = {"corpora"}  # KANJO_CORPORA is the training's
LOOPBACK = "127.0.0.1"
# Bridges that may be connected to either leg of a call.
LEGS = ("asterisk", "exotel", "freeswitch", "jambonz", "plivo", "telnyx", "twilio")


# What these refuse they don't show: it may be a secret all the same.


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise ValueError("got nothing, expected a secret, or no such variable at all")
    return secret


def _pairs(text: str) -> dict[str, str]:
    """Secrets by name, from `name:secret,name:secret`."""
    pairs = [pair.strip().partition(":") for pair in text.split(",")]
    secrets = {name: secret for name, _, secret in pairs}
    if len(secrets) < len(pairs) or not all(name and colon for name, colon, _ in pairs):
        raise ValueError("got something else, expected `name:secret,name:secret`, each name once")
    return secrets


def _audiohook_keys(keys: SecretStr) -> SecretStr:
    for secret in _pairs(keys.get_secret_value()).values():
        try:
            base64.b64decode(secret, validate=True)
        except binascii.Error:
            raise ValueError("got a client secret that is not base64, expected one") from None
    return keys


def _shared_keys(keys: SecretStr) -> SecretStr:
    if not all(_pairs(keys.get_secret_value()).values()):
        raise ValueError("got a key without a secret, expected one with each")
    return keys


def _legs(said: object) -> object:
    if not isinstance(said, str):
        return said
    names = frozenset(name.strip() for name in said.split(","))
    if not names <= {*LEGS}:
        raise ValueError(f"got {said!r}, expected some of {','.join(LEGS)}")
    return names


Secret = Annotated[SecretStr, AfterValidator(_not_empty)]
User = Annotated[str, Field(min_length=1, pattern="^[^:]+$", description="HTTP Basic: user")]
PublicUrl = Annotated[str, Field(pattern=r"^wss?://[^?#]+$")]


class Settings(BaseModel):
    """What an operator may decide. A misspelt or impossible setting stops the start."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    host: str = Field("127.0.0.1", description="address to listen at")
    port: int = Field(8000, ge=1, le=65535, description="port to listen at")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least important lines that are logged"
    )
    log_format: Literal["text", "json"] = Field("text", description="how a line is logged")
    drain_s: float = Field(20, ge=0, description="how long live calls may go on at a stop")

    # Who may connect
    trust_network: bool = Field(
        False,
        description="whoever reaches this address may call: bridges without credentials are open "
        "though the host is not loopback",
    )
    audiohook_keys: Annotated[Secret, AfterValidator(_audiohook_keys)] | None = Field(
        None,
        description="AudioHook's API keys with their client secrets in base64, "
        "`key:secret,key:secret`; a key may have none, `key:`",
    )
    twilio_url: PublicUrl | None = Field(
        None, description="public address of `/calls/twilio`, as the TwiML has it: it is signed"
    )
    twilio_auth_token: Secret | None = Field(
        None, validate_default=True, description="what signs it: the account's auth token"
    )
    twilio_shared_keys: Annotated[Secret, AfterValidator(_shared_keys)] | None = Field(
        None, validate_default=True, description="or SharedKeys, `name:secret,name:secret`"
    )
    twilio_token: Secret | None = Field(None, description="what the parameter `token` must be")
    plivo_url: PublicUrl | None = Field(
        None, description="public address of `/calls/plivo`, as the XML has it: it is signed"
    )
    plivo_auth_token: Secret | None = Field(
        None, validate_default=True, description="what signs it: the account's auth token"
    )
    asterisk_user: User = "kanjo"
    asterisk_password: Secret | None = Field(None, description="HTTP Basic: password")
    exotel_user: User = "kanjo"
    exotel_password: Secret | None = Field(None, description="HTTP Basic: password")
    freeswitch_user: User = "kanjo"
    freeswitch_password: Secret | None = Field(None, description="HTTP Basic: password")
    jambonz_user: User = "kanjo"
    jambonz_password: Secret | None = Field(None, description="HTTP Basic: password")
    native_token: Secret | None = Field(None, description="`Authorization: Bearer`")
    telnyx_token: Secret | None = Field(None, description="`Authorization: Bearer`")
    vonage_token: Secret | None = Field(None, description="`Authorization: Bearer`")
    audiosocket_caller_port: int | None = Field(
        None, ge=1, le=65535, description="port for AudioSocket of the caller's voice"
    )
    audiosocket_agent_port: int | None = Field(
        None, ge=1, le=65535, description="port for AudioSocket of the agent's voice"
    )
    start_within_s: float = Field(
        30, gt=0, description="how long a connection may be open without a call"
    )
    idle_s: float = Field(300, gt=0, description="how long a connection may go without a message")

    # What is heard
    analyse_agent: str | None = Field(
        None,
        min_length=10,
        description="recorded purpose for which the agent's voice is analysed too (medical or "
        "safety; EU AI Act Art. 5(1)(f)); without one it never is",
    )
    agent_legs: Annotated[frozenset[str], BeforeValidator(_legs)] | None = Field(
        None,
        description="bridges that are connected to the agent's leg of a call, `twilio,plivo`: what "
        "is said there is the agent's voice",
    )
    analyse_mix: bool = Field(
        False,
        description="analyse connections that carry all speakers in one channel, as the caller: "
        "only where the agent is not in it",
    )
    freeswitch_alerts: bool = Field(False, description="send FreeSWITCH alerts, as events `::json`")
    gate: bool = Field(True, description="score speech only; off: sliding 7.5 s of everything")
    first_s: float | None = Field(
        None,
        ge=0.5,
        le=7.5,
        description="speech before its first reading; without it, the model's own",
    )
    hop_s: float | None = Field(
        None,
        ge=0.25,
        le=7.5,
        description="speech from one reading to the next; without it, the model's own",
    )
    max_calls: int = Field(200, ge=1, description="live calls; one more is refused")
    max_frame_bytes: int = Field(524_288, ge=1024, description="largest message of audio")

    # What scores it
    model: Path = Field(SHIPPED, description="artifact to load")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda")
    torch_threads: int = Field(1, ge=1, description="CPU threads of one batch")
    batch_max: int = Field(64, ge=1, le=256, description="windows scored at once")
    batch_wait_ms: float = Field(10, ge=0, description="longest a window waits for company")
    queue_max: int = Field(512, ge=1, description="waiting windows; one more drops the oldest")
    window_max_age_s: float = Field(3.0, gt=0, description="a window that waited longer is dropped")

    # What becomes an alert
    anger_fire_at: float | None = Field(
        None, ge=0, le=1, description="smoothed probability; without it, the model's own"
    )
    anger_clear_at: float | None = Field(
        None,
        ge=0,
        le=1,
        validate_default=True,
        description="below it an alert is on its way out; goes with the former",
    )
    happiness_fire_at: float | None = Field(None, ge=0, le=1, description="as for anger")
    happiness_clear_at: float | None = Field(
        None, ge=0, le=1, validate_default=True, description="as for anger"
    )
    hold_s: float = Field(0.0, ge=0, description="speech at or above before an alert fires")
    release_s: float = Field(4.0, ge=0, description="time below before it resolves")
    smooth_s: float = Field(0.75, ge=0, description="speech over which probabilities are smoothed")

    # What is kept
    redis_url: str | None = Field(
        None, pattern=r"^(redis|rediss|unix)://", description="without it: in this process only"
    )
    state_dir: Path = Field(
        Path("var"), description="where the outbox lives that waits for an absent Redis"
    )
    retention_days: float = Field(30, gt=0, description="how long calls and alerts are kept")

    # POST /classify
    classify_max_s: float = Field(600, gt=0, description="longest recording")
    classify_max_bytes: int = Field(50_000_000, ge=1, description="largest upload")

    @property
    def ws_max_size(self) -> int:
        """A little more than the largest frame is read, so that it can be answered with words."""
        return max(2 * self.max_frame_bytes, 2_097_152)

    @property
    def audiohook_secrets(self) -> dict[str, bytes | None]:
        """The client secrets by API key."""
        if self.audiohook_keys is None:
            return {}
        pairs = _pairs(self.audiohook_keys.get_secret_value())
        return {key: base64.b64decode(secret) or None for key, secret in pairs.items()}

    @property
    def twilio_secrets(self) -> dict[str, str]:
        """The shared keys' secrets by their names."""
        if self.twilio_shared_keys is None:
            return {}
        return _pairs(self.twilio_shared_keys.get_secret_value())

    @property
    def credentials(self) -> bool:
        """Whether any bridge has some."""
        return any(isinstance(getattr(self, name), SecretStr) for name in type(self).model_fields)

    @property
    def listens_at(self) -> str:
        """`host`, but loopback where calls would be taken of whoever comes by."""
        return self.host if self.trusts(self.host) or self.credentials else LOOPBACK

    def trusts(self, host: str) -> bool:
        """Whether those who reach the service at `host` may call without credentials."""
        if self.trust_network or host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False

    @field_validator("twilio_auth_token", "twilio_shared_keys", "plivo_auth_token")
    @classmethod
    def _goes_with_url(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        assert info.field_name
        url = f"{info.field_name.partition('_')[0]}_url"
        if secret is not None and info.data.get(url, "") is None:
            raise ValueError(f"got no {url}, expected the public address that is signed")
        return secret

    @field_validator("anger_clear_at", "happiness_clear_at")
    @classmethod
    def _goes_with_fire_at(cls, clear_at: float | None, info: ValidationInfo) -> float | None:
        assert info.field_name
        other = info.field_name.replace("clear", "fire")
        if other in info.data:  # else it is impossible itself
            fire_at = info.data[other]
            if (fire_at is None) != (clear_at is None):
                raise ValueError(f"got {clear_at} and {other} {fire_at}, expected both or neither")
            if fire_at is not None and clear_at is not None and clear_at > fire_at:
                raise ValueError(f"got {clear_at}, expected at most {other}, {fire_at}")
        return clear_at

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Reads all variables that begin with KANJO_.

        Raises:
            ValidationError: one is unknown or its value impossible.
        """
        own = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environ.items()
            if name.startswith(PREFIX)
        }
        return cls.model_validate({k: v for k, v in own.items() if k not in NOT_OURS})
