"""Every setting, from the environment: `KANJO_` and the field's name in capitals."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self, cast, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from model import MODELS, SHIPPED
from service.caller_settings import CallerSettings
from service.events import Track
from service.setting_types import (
    Issuer,
    LoginRoles,
    ModelPath,
    OidcSecret,
    ProxyNetworks,
    Urls,
)
from service.telephony.native.provider import NativeSettings
from service.telephony.providers import PROVIDERS, Providers, legs
from service.telephony.shared.provider import BridgeOptions
from service.telephony.shared.settings import Secret

PREFIX = "KANJO_"
FOREIGN = {"corpora", "encoder", "token"}  # of the training, and of our own clients
LOOPBACK = "127.0.0.1"


class ServiceSettings(BaseModel):
    """The settings of the service itself, without those of the providers (`settings_for`).

    An unknown or impossible setting stops the start.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )
    providers: ClassVar[Providers] = {}

    host: str = Field("127.0.0.1", description="address to listen at")
    port: int = Field(8000, ge=1, le=65535, description="port to listen at")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level of log lines"
    )
    log_format: Literal["text", "json"] = Field("text", description="format of log lines")
    drain_s: float = Field(20, ge=0, description="how long live calls may continue at a stop")

    # Who may connect
    public_url: Urls | None = Field(
        None,
        description="addresses at which browsers and clients call the service, where these name a "
        "host and not an IP address: `https://kanjo.example,http://kanjo:8000`",
    )
    trust_network: bool = Field(
        False,
        description="accept clients of bridges without credentials though the host is not "
        "loopback: only those who may call can reach it",
    )
    metrics_token: Secret | None = Field(
        None, description="token that may read `/metrics` only; viewers may too"
    )
    session_hours: float = Field(12, gt=0, description="how long a login lasts")
    proxy_user_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="header in which a proxy that logs people in names them: `X-Forwarded-User`",
    )
    proxy_addresses: ProxyNetworks = Field(
        None,
        validate_default=True,
        description="addresses and networks from which that header is believed, those of the proxy "
        "alone: `10.0.0.5,10.1.0.0/24`",
    )
    proxy_role: Literal["viewer", "operator", "admin"] = Field(
        "viewer", description="role of those whom the proxy names"
    )
    oidc_issuer: Issuer | None = Field(
        None, description="provider of single sign-on by OpenID Connect: `https://id.example`"
    )
    oidc_client_id: str | None = Field(
        None, min_length=1, description="the service's name at the provider"
    )
    oidc_client_secret: OidcSecret = Field(
        None, validate_default=True, description="its secret there; all three or none"
    )
    oidc_role_claim: str = Field("groups", description="claim of the ID token that decides roles")
    oidc_roles: LoginRoles | None = Field(
        None, description="roles by its values: `supervisors:operator,ops:admin`"
    )
    oidc_role: Literal["viewer", "operator", "admin", "none"] = Field(
        "viewer", description="role of those with no such value; `none`: they are refused"
    )
    audiosocket_caller_port: int | None = Field(
        None, ge=1, le=65535, description="port for AudioSocket of the caller's voice"
    )
    audiosocket_agent_port: int | None = Field(
        None, ge=1, le=65535, description="port for AudioSocket of the agent's voice"
    )
    start_within_s: float = Field(
        30, gt=0, description="longest time from connection to the start of a call"
    )
    idle_s: float = Field(300, gt=0, description="longest time without a message")
    max_speed: float = Field(
        1.1,
        ge=1,
        description="how much faster than real time a stream may send for long, after a burst of "
        "10 s (AudioHook 30 s); what comes faster is read later",
    )

    max_connections: int = Field(
        800,
        ge=1,
        description="most open connections over HTTP and websockets; fewer where the process may "
        "not open as many descriptors",
    )
    max_connections_per_address: int = Field(
        600,
        ge=1,
        description="most open connections of one address, which may be a proxy's",
    )
    head_within_s: float = Field(
        10, gt=0, description="longest time for the head of an HTTP request or a handshake"
    )

    # What is analysed
    analyse_agent: str | None = Field(
        None,
        min_length=10,
        description="recorded purpose for which the agent's voice is analysed too (medical or "
        "safety; EU AI Act Art. 5(1)(f)); without one it never is",
    )
    agent_legs: frozenset[str] | None = Field(
        None,
        description="bridges that are connected to the agent's leg of a call, `twilio,plivo`: the "
        "voice that comes from there is the agent's",
    )
    analyse_mix: bool = Field(
        False,
        description="analyse connections that carry all speakers in one channel, as the caller: "
        "only where the agent is not in it",
    )
    gate: bool = Field(True, description="score speech only; off: sliding windows of 7.5 s")
    first_s: float | None = Field(
        None, ge=0.5, le=7.5, description="speech before the first reading; by default the model's"
    )
    hop_s: float | None = Field(
        None,
        ge=0.25,
        le=7.5,
        description="speech from one reading to the next; by default the model's",
    )
    max_calls: int = Field(200, ge=1, description="most live calls; further ones are refused")
    max_frame_bytes: int = Field(524_288, ge=1024, description="largest message of audio")

    # Scoring
    model: ModelPath = Field(
        SHIPPED, description=f"artifact to load: a path, or one that ships: {', '.join(MODELS)}"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda")
    torch_threads: int = Field(1, ge=1, description="CPU threads for one batch")
    batch_max: int = Field(64, ge=1, le=256, description="most windows in one batch")
    batch_wait_ms: float = Field(
        10, ge=0, description="longest a window is queued while its batch fills"
    )
    queue_max: int = Field(
        512,
        ge=1,
        description="most queued windows; further ones replace those of the call with the most",
    )
    window_max_age_s: float = Field(3.0, gt=0, description="windows queued for longer are dropped")

    # Alerts
    anger_fire_at: float | None = Field(
        None,
        ge=0,
        le=1,
        description="smoothed probability at which an alert begins; by default the model's",
    )
    anger_clear_at: float | None = Field(
        None,
        ge=0,
        le=1,
        validate_default=True,
        description="smoothed probability below which it ends; set both or neither",
    )
    happiness_fire_at: float | None = Field(None, ge=0, le=1, description="as for anger")
    happiness_clear_at: float | None = Field(
        None, ge=0, le=1, validate_default=True, description="as for anger"
    )
    hold_s: float = Field(
        0.0, ge=0, description="speech at or above the first probability before an alert fires"
    )
    release_s: float = Field(
        4.0, ge=0, description="time below the second probability before it resolves"
    )
    smooth_s: float = Field(0.75, ge=0, description="speech over which probabilities are smoothed")
    policy: Path | None = Field(
        None,
        description="file of thresholds and mutes by queue and emotion (`docs/alerts.md`); read "
        "again when it changes",
    )

    # Storage
    redis_url: str | None = Field(
        None,
        pattern=r"^(rediss?(\+sentinel)?|unix)://",
        description="address of Redis, also over TLS or behind Sentinels (docs/redis.md); by "
        "default calls are kept in this process only",
    )
    state_dir: Path = Field(
        Path("var"), description="folder of the outbox, which keeps writes while Redis is away"
    )
    webhooks: Path | None = Field(
        None, description="TOML file of the receivers of alerts outside (docs/webhooks.md)"
    )
    keep_within_ms: float = Field(
        250,
        ge=0,
        description="longest a step of an alert waits for Redis or the outbox to have it before it "
        "is sent on the call's connection",
    )
    retention_days: float = Field(30, gt=0, description="how long calls and alerts are kept")

    # POST /classify
    classify_caller_channel: int = Field(
        0, ge=0, le=1, description="channel of a stereo recording that holds the caller: 0 is left"
    )
    classify_max_s: float = Field(600, gt=0, description="longest recording")
    classify_max_bytes: int = Field(50_000_000, ge=1, description="largest upload")

    @property
    def analysed_tracks(self) -> frozenset[Track]:
        """The tracks that are analysed."""
        return frozenset(Track if self.analyse_agent else {Track.CALLER})

    def bridge_options(self, provider: str) -> BridgeOptions:
        """Returns what the service decides for this provider's bridges."""
        return BridgeOptions(
            analysed_tracks=self.analysed_tracks,
            leg=Track.AGENT if provider in (self.agent_legs or ()) else Track.CALLER,
            analyse_mix=self.analyse_mix,
            max_frame_bytes=self.max_frame_bytes,
        )

    @property
    def ws_max_size(self) -> int:
        """The largest websocket message that is read, in bytes.

        It is larger than `max_frame_bytes`, so that a frame above that gets an error as its reply.
        """
        return max(2 * self.max_frame_bytes, 2_097_152)

    @property
    def credentials(self) -> bool:
        """Whether credentials are set for any provider."""
        return any(
            isinstance(getattr(self, name), SecretStr)
            for name in type(self).model_fields
            if name not in ServiceSettings.model_fields
        )

    @property
    def listens_at(self) -> str:
        """`host`, or loopback if calls of untrusted clients would be accepted there."""
        return self.host if self.trusts(self.host) or self.credentials else LOOPBACK

    @property
    def page_url(self) -> str | None:
        """Of `public_url`, the address that a browser is sent to: one with TLS if there is any."""
        urls = self.public_url or ()
        return min(urls, key=lambda url: (not url.startswith("https:"), url), default=None)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches the service."""
        return _is_loopback(self.listens_at)

    def trusts(self, host: str) -> bool:
        """Returns whether clients of bridges that reach the service at `host` are trusted."""
        return self.trust_network or _is_loopback(host)

    @field_validator("agent_legs", mode="before")
    @classmethod
    def _names_of_legs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = frozenset(name.strip() for name in value.split(","))
        known = legs(cls.providers)
        if not names <= {*known}:
            raise ValueError(f"got {value!r}, expected some of {','.join(known)}")
        return names

    @field_validator("anger_clear_at", "happiness_clear_at")
    @classmethod
    def _goes_with_fire_at(cls, clear_at: float | None, info: ValidationInfo) -> float | None:
        assert info.field_name
        other = info.field_name.replace("clear", "fire")
        if other in info.data:  # else it was refused itself
            fire_at = info.data[other]
            if (fire_at is None) != (clear_at is None):
                raise ValueError(f"got {clear_at} and {other} {fire_at}, expected both or neither")
            if fire_at is not None and clear_at is not None and clear_at > fire_at:
                raise ValueError(f"got {clear_at}, expected at most {other}, {fire_at}")
        return clear_at

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Returns the settings of all variables that begin with KANJO_.

        A secret may come from a file, which KANJO_..._FILE names.

        Raises:
            ValidationError: a variable is unknown, its value impossible, or its file unreadable.
        """
        own = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environ.items()
            if name.startswith(PREFIX)
        }
        own = {name: value for name, value in own.items() if name not in FOREIGN}
        files = {name for name in own if name.removesuffix("_file") in cls._secrets() - {name}}
        problems = []
        for file in files:
            path, name = Path(own.pop(file)), file.removesuffix("_file")
            try:
                if name in own:
                    raise ValueError(f"got KANJO_{name.upper()} too, expected one of the two")
                own[name] = path.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError) as failure:
                what = failure.strerror if isinstance(failure, OSError) else failure
                sentence = str(what) if name in own else f"cannot read {str(path)!r}: {what}"
                error = PydanticCustomError("value_error", "{sentence}", {"sentence": sentence})
                problems.append(InitErrorDetails(type=error, loc=(file,), input=None))
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return cls.model_validate(own)

    @classmethod
    def _secrets(cls) -> set[str]:
        """Returns the fields that are, or may contain, secrets."""
        return {
            name
            for name, field in cls.model_fields.items()
            if name == "redis_url" or _holds_secrets(field.annotation)
        }


def _holds_secrets(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_holds_secrets, get_args(annotation)))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def settings_for(providers: Providers) -> type[ServiceSettings]:
    """Returns the settings of a service with these providers: its own fields, then theirs.

    The result is a subclass of each provider's settings too.
    """
    # The fields of later bases come first.
    bases: list[type[BaseModel]] = [provider.settings for provider in providers.values()]
    bases = [*reversed(bases), CallerSettings, ServiceSettings]
    model = create_model("Settings", __base__=tuple(bases), __module__=__name__)
    made = cast(type[ServiceSettings], model)
    made.providers = providers
    return made


if TYPE_CHECKING:

    class Settings(NativeSettings, CallerSettings, ServiceSettings):
        """The settings of the service with all its providers.

        Type checkers see only those that are used by name outside of the providers' folders.
        """

else:
    Settings = settings_for(PROVIDERS)
