"""What providers write in many ways though it has only one meaning: names, encodings, rates.

Providers' pages, their examples and what they send differ in case and separators.
"""

import json
import re
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, model_validator
from pydantic_core import from_json

from service.telephony.shared.interleaved import Encoding

_SEPARATORS = str.maketrans("", "", "_-. ")
_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(k?)(?:hz)?", re.ASCII | re.IGNORECASE)
_TO_BASE64 = str.maketrans("-_", "+/", " \t\r\n")  # from the URL-safe alphabet
MAX_ENCODING_CHARS = 64

_ENCODINGS = {
    Encoding.MULAW: ("mulaw", "ulaw", "pcmu", "g711u", "g711mu", "g711ulaw", "g711mulaw", "basic"),
    Encoding.ALAW: ("alaw", "pcma", "g711a", "g711alaw"),
    Encoding.L16: (
        *("l16", "raw", "slin", "slin16", "lin16", "linear16", "signedlinear", "lpcm"),
        *("pcm", "pcm16", "pcm16le", "pcms16le", "s16", "s16le"),
    ),
}
_ENCODING_NAMES = {name: encoding for encoding, names in _ENCODINGS.items() for name in names}


class AudioFormat(NamedTuple):
    """What the name of an encoding stands for."""

    encoding: Encoding
    sample_rate: int | None  # Hz; None: not named


def folded(name: str) -> str:
    """Returns a name in lower case and without separators: `streamSid`, `stream_sid` are one."""
    return name.translate(_SEPARATORS).lower()


def respelled(message: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Returns a message with fields of these names, however they were spelled in it.

    An exact name takes precedence. A name that came in several other spellings with different
    values is not respelled: it has more than one meaning.
    """
    missing = {folded(name): name for name in names if name not in message}
    if not missing:
        return dict(message)
    found: dict[str, list[str]] = {}
    for field in message:
        name = missing.get(folded(field)) if isinstance(field, str) else None
        if name is not None:
            found.setdefault(name, []).append(field)
    result = dict(message)
    for name, fields in found.items():
        if all(message[field] == message[fields[0]] for field in fields):
            result[name] = message[fields[0]]
            for field in fields:
                del result[field]
    return result


def start_fields(message: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the fields of a valid message's `start`, those of these names spelled like them."""
    return respelled(respelled(message, ("start",))["start"], names)


class AnySpelling(BaseModel, frozen=True):
    """A model whose fields may be spelled with other cases and separators."""

    @model_validator(mode="before")
    @classmethod
    def _respell(cls, message: object) -> object:
        if not isinstance(message, dict):
            return message
        return respelled(message, tuple(cls.model_fields))


def audio_format(text: str) -> AudioFormat | None:
    """Returns the format that `PCMU`, `audio/x-mulaw`, `raw/slin` or `audio/L16;rate=8000` name.

    Returns None for a format that is unknown, has several channels or an impossible rate.
    """
    if len(text) > MAX_ENCODING_CHARS:
        return None
    kind, *parameters = text.lower().split(";")
    words = [word.strip().removeprefix("x-") for word in kind.split("/")]
    if len(words) == 2 and words[0] in ("audio", "raw"):
        del words[0]
    encoding = _ENCODING_NAMES.get(folded(words[0])) if len(words) == 1 else None
    if encoding is None:
        return None
    rate = None
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name == "channels" and value != "1":
            return None
        if name == "rate":
            try:
                rate = sample_rate(value)
            except ValueError:
                return None
    return AudioFormat(encoding, rate)


def sample_rate(value: object) -> int:
    """Returns a rate in Hz from `8000`, `"8000"`, `"8000Hz"` or `"8 kHz"`.

    Raises:
        ValueError: the value is not a rate.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int:
        return value
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a sample rate in Hz")
    hertz = float(match[1]) * (1_000 if match[2] else 1)
    if not hertz.is_integer():
        raise ValueError("expected a sample rate in whole Hz")
    return int(hertz)


Rate = Annotated[int, BeforeValidator(sample_rate)]


def json_value(text: str) -> Any:
    """Returns the value of a text in JSON, which may contain halves of surrogate pairs.

    Some programs cut texts, such as a caller's name, inside a character.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return from_json(text, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        if "\\u" not in text:
            raise
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("got JSON that is nested too deep") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"got {name}, expected a number")


def base64_bytes(text: str) -> bytes:
    """Returns the bytes of a text in base64, also with line breaks or without padding.

    Raises:
        ValueError, TypeError: the value is not a text in base64.
    """
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        bare = text.translate(_TO_BASE64)
        return a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)
