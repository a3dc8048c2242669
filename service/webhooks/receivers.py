"""The receivers of webhooks, as the file that `KANJO_WEBHOOKS` names has them."""

import base64
import binascii
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from service.events import AlertState
from service.webhooks.errors import WebhooksUnusable

Preset = Literal["standard", "slack", "teams", "pagerduty"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
SECRETS = ("url", "secret")  # fields that may come from a file instead
KEY_BYTES = range(24, 65)  # Standard Webhooks, "Signature scheme"
MAX_FILE_BYTES = 65_536


class Receiver(BaseModel):
    """One receiver: where notices go, in which form, and of which alerts."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True
    )

    preset: Preset = "standard"
    url: SecretStr  # of Slack and Teams it is a secret itself
    secret: SecretStr | None = None  # the signing key, or PagerDuty's integration key
    queues: frozenset[str] | None = None  # None: all, and calls of no queue
    emotions: frozenset[Literal["anger", "happiness"]] = frozenset({"anger"})
    states: frozenset[AlertState] = frozenset({AlertState.FIRING, AlertState.RESOLVED})
    most_per_call_s: float = Field(0, ge=0, le=86_400, allow_inf_nan=False)  # 0: no limit
    allow_private: bool = False

    @property
    def host(self) -> str:
        """The host of its address, which is no secret."""
        return urlsplit(self.url.get_secret_value()).hostname or ""

    def wants(self, queue: str | None, emotion: str, state: str) -> bool:
        """Returns whether a step of an alert of a call in `queue` is for this receiver."""
        of_queue = self.queues is None or queue in self.queues
        return of_queue and emotion in self.emotions and state in self.states

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, fields: Any, info: ValidationInfo) -> Any:
        if not isinstance(fields, dict):
            return fields
        fields = dict(fields)
        folder = (info.context or {}).get("folder", Path())
        for name in SECRETS:
            file = fields.pop(f"{name}_file", None)
            if file is None:
                continue
            if name in fields:
                raise ValueError(f"got {name} and {name}_file, expected one of the two")
            try:
                fields[name] = (folder / str(file)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as failure:
                what = failure.strerror if isinstance(failure, OSError) else "not UTF-8"
                raise ValueError(f"cannot read {name}_file: {what}") from failure
        if fields.get("preset") == "pagerduty":
            fields.setdefault("url", PAGERDUTY_URL)
        return fields

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_url(self.url.get_secret_value(), self.allow_private)
        secret = self.secret.get_secret_value() if self.secret else None
        match self.preset:
            case "standard":
                _check_key(secret)
            case "pagerduty":
                if secret is None or not re.fullmatch("[A-Za-z0-9]{20,64}", secret):
                    raise ValueError(
                        "got no integration key as its secret, expected that of a service in "
                        "PagerDuty (Events API v2), 32 letters and digits"
                    )
            case _ if secret is not None:
                raise ValueError(
                    f"got a secret, expected none: the url of {self.preset} is the secret"
                )
        return self


class _File(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    receivers: dict[Name, Receiver] = Field(max_length=50)


def load_receivers(path: Path) -> dict[str, Receiver]:
    """Reads the file of receivers; relative paths in it begin in its folder. Waits for the disk.

    Raises:
        WebhooksUnusable: it can't be read, is no TOML, or something in it is not as expected.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise WebhooksUnusable(path, [f"got more than {MAX_FILE_BYTES} bytes, expected fewer"])
        table = tomllib.loads(content.decode("utf-8"))
        return _File.model_validate(table, context={"folder": path.parent}).receivers
    except OSError as failure:
        raise WebhooksUnusable(path, [f"cannot be read: {failure.strerror}"]) from failure
    except ValidationError as invalid:
        raise WebhooksUnusable(path, [*map(_sentence, invalid.errors())]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
        # The message of the parser names a place, and may name a key, never a value.
        raise WebhooksUnusable(path, [f"is no TOML: {failure}"]) from None


def _sentence(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"] if part != "[key]")
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"


def _check_url(url: str, allow_private: bool) -> None:
    expected = "expected https://HOST[:PORT][/PATH], without a user"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as failure:
        raise ValueError(f"got a url that is none, {expected}") from failure
    if parts.scheme == "http" and not allow_private:
        raise ValueError(f"got a url without TLS, {expected}; http only with allow_private = true")
    plain = re.fullmatch(r"[\x21-\x7e]+", url)
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise ValueError(f"got a url that is none, {expected}")
    if parts.username is not None or parts.fragment:
        raise ValueError(f"got a url with a user or a fragment, {expected}")


def _check_key(secret: str | None) -> None:
    expected = "expected whsec_ and the base64 of 24 to 64 random bytes"
    if secret is None:
        raise ValueError(f"got no secret, {expected}")
    try:
        if not secret.startswith("whsec_"):
            raise ValueError(f"got a secret without whsec_, {expected}")
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as failure:
        raise ValueError(f"got a secret that is no base64, {expected}") from failure
    if len(key) not in KEY_BYTES:
        raise ValueError(f"got a secret of {len(key)} bytes, {expected}")
