"""The table of providers, and what the service derives from it.

A new provider is a folder with a `provider.py`, and a row here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from service.telephony.asterisk.provider import ASTERISK
from service.telephony.audiohook.provider import AUDIOHOOK
from service.telephony.exotel.provider import EXOTEL
from service.telephony.freeswitch.provider import FREESWITCH
from service.telephony.jambonz.provider import JAMBONZ
from service.telephony.native.provider import NATIVE
from service.telephony.plivo.provider import PLIVO
from service.telephony.shared.authenticator import Authenticator
from service.telephony.shared.client import ProviderClient
from service.telephony.shared.no_credentials import AcceptAll, RejectAll
from service.telephony.shared.provider import Documentation, Provider
from service.telephony.telnyx.provider import TELNYX
from service.telephony.twilio.provider import TWILIO
from service.telephony.vonage.provider import VONAGE

Providers = Mapping[str, Provider[Any]]


def table(providers: Iterable[Provider[Any]]) -> Providers:
    """Returns providers by name."""
    return {provider.name: provider for provider in providers}


PROVIDERS: Providers = table(
    (
        NATIVE,
        AUDIOHOOK,
        TWILIO,
        FREESWITCH,
        JAMBONZ,
        ASTERISK,
        VONAGE,
        TELNYX,
        PLIVO,
        EXOTEL,
    )
)

# AudioSocket is no row: it connects over TCP, to a port for each voice, and has no credentials.
AUDIOSOCKET = Documentation(
    title="AudioSocket",
    transport="TCP",
    voices="one a socket",
    encodings="L16",
    replies="silence",
    credentials="none: all who reach the port",
)


def legs(providers: Providers) -> tuple[str, ...]:
    """Returns the names of providers that may be connected to either leg of a call."""
    return tuple(sorted(name for name, provider in providers.items() if provider.either_leg))


def clients(providers: Providers) -> dict[str, type[ProviderClient]]:
    """Returns the class of each provider's client, by name."""
    return {name: provider.client for name, provider in providers.items()}


def facts_of(providers: Providers) -> dict[str, Mapping[str, str]]:
    """Returns, by provider, the metadata in which its protocol gives a fact, by the fact's name."""
    return {name: provider.facts for name, provider in providers.items()}


def authenticators(
    settings: BaseModel,
    *,
    trusted: bool,
    providers: Providers = PROVIDERS,
    untrusted: Authenticator | None = None,
) -> dict[str, Authenticator]:
    """Returns the authenticator of each provider, by name in alphabetical order.

    Args:
        settings: of the service, which are those of all providers.
        trusted: whether a provider without credentials accepts every client, or rejects it.
        providers: the table.
        untrusted: what checks clients of a provider without credentials instead of rejecting them.
    """
    default: Authenticator = AcceptAll() if trusted else untrusted or RejectAll()
    return {
        name: providers[name].create_authenticator(settings) or default
        for name in sorted(providers)
    }
