"""The facts of a call in common names, read from its provider's metadata at one place."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace

from service.events import CallFacts, CallStarted, Consent
from service.telephony.shared.call_url import UrlTemplate, is_web_address
from service.telephony.shared.identity import clean
from service.telephony.shared.spelling import folded

CONSENT = "consent"
FACTS = (*(field.name for field in fields(CallFacts)), CONSENT)
MAX_NUMBER_CHARS = 64
MAX_NAME_CHARS = 128

_CONSENTS = {
    **dict.fromkeys(("given", "granted", "yes", "true", "1"), Consent.GIVEN),
    **dict.fromkeys(("refused", "denied", "no", "false", "0"), Consent.REFUSED),
    "unknown": Consent.UNKNOWN,
}


def _at_most(chars: int) -> Callable[[str], bool]:
    return lambda text: len(text) <= chars


def _is_language(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}", text, re.ASCII) is not None


# What a value must be to be taken for a fact; else it stays metadata.
_FITS: Mapping[str, Callable[[str], bool]] = {
    "caller_number": _at_most(MAX_NUMBER_CHARS),
    "called_number": _at_most(MAX_NUMBER_CHARS),
    "queue": _at_most(MAX_NAME_CHARS),
    "agent": _at_most(MAX_NAME_CHARS),
    "language": _is_language,
    "call_url": is_web_address,
    CONSENT: lambda text: text.lower() in _CONSENTS,
}


class FactReader:
    """Reads the facts of a call from its metadata; what is no fact stays there.

    A fact is the first value that fits it: of the parameters that the setting names for it, then of
    the field in which the provider's protocol gives it, then of a parameter that is called as the
    fact is, in any spelling (`caller_number`, `callerNumber`). The agent's name is left nowhere in
    the metadata.

    Args:
        by_bridge: by bridge and fact, the metadata in which the protocol gives it.
        mapped: by fact, the parameters that the setting names.
        call_url: makes the address of a call where the provider gives none.
    """

    def __init__(
        self,
        by_bridge: Mapping[str, Mapping[str, str]] | None = None,
        mapped: Mapping[str, tuple[str, ...]] | None = None,
        call_url: UrlTemplate | None = None,
    ) -> None:
        self._by_bridge = by_bridge or {}
        self._mapped = mapped or {}
        self._call_url = call_url

    def read(self, started: CallStarted) -> CallStarted:
        """Returns the start of a call with its facts, and without them in its metadata."""
        metadata = dict(started.metadata)
        spelled = {folded(name): name for name in reversed(metadata)}
        found: dict[str, str] = {}
        for fact in FACTS:
            field = self._by_bridge.get(started.bridge, {}).get(fact)
            common = fact if fact in metadata else spelled.get(folded(fact))
            for name in (*self._mapped.get(fact, ()), field, common):
                value = clean(metadata.get(name, "") if name else "", MAX_NAME_CHARS * 8).strip()
                if value and name is not None and _FITS[fact](value):
                    found.setdefault(fact, value)
                    del metadata[name]
                    if fact != "agent":  # a name is left nowhere else
                        break
        consent = _CONSENTS[found.pop(CONSENT, Consent.UNKNOWN).lower()]
        facts = CallFacts(**found)
        if facts.agent:
            metadata = {name: text.replace(facts.agent, "…") for name, text in metadata.items()}
        if self._call_url and not facts.call_url:
            values = {name: getattr(facts, name, None) for name in FACTS}
            values |= {"call_id": started.call_id, "bridge": started.bridge}
            facts = replace(facts, call_url=self._call_url.address(values))
        return replace(started, metadata=metadata, facts=facts, consent=consent)
