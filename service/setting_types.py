"""The types of which the service's own settings are made, with their sentences."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from model import model_file
from service.telephony.shared.call_url import UrlTemplate
from service.telephony.shared.facts import FACTS
from service.telephony.shared.settings import Secret

Network = IPv4Network | IPv6Network


def _urls(value: object) -> object:
    if not isinstance(value, str):
        return value
    urls = frozenset(url.strip() for url in value.split(","))
    for url in urls:
        if not re.fullmatch(r"https?://[\w.-]+(:\d{1,5})?/?", url, re.ASCII):
            raise ValueError(
                f"got {url!r}, expected addresses such as https://kanjo.example, with commas "
                "between them"
            )
    return urls


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    expected = "expected IP addresses or networks with commas between them: 10.0.0.5,10.1.0.0/24"
    networks = set()
    for text in value.split(","):
        try:
            network = ip_network(text.strip())
        except ValueError as error:
            raise ValueError(f"got {text.strip()!r}, {expected}") from error
        if not network.prefixlen:
            raise ValueError(f"got {text.strip()!r}, which is every address, {expected}")
        networks.add(network)
    return networks


def _goes_with_user_header(
    networks: frozenset[Network] | None, info: ValidationInfo
) -> frozenset[Network] | None:
    header = info.data.get("proxy_user_header", networks)  # it was refused itself: nothing to add
    if (header is None) != (networks is None):
        came, lacking = "proxy_user_header", "proxy_addresses"
        if header is None:
            came, lacking = lacking, came
        raise ValueError(f"got {came} and no {lacking}, expected both or neither")
    return networks


def _issuer(url: str) -> str:
    local = r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
    if not re.fullmatch(rf"(https://[^\s?#/@]+|{local})(/[^\s?#]*)?", url):
        raise ValueError(f"got {url!r}, expected https://HOST[:PORT][/PATH], without ? and #")
    return url


def _roles(value: object) -> object:
    if not isinstance(value, str):
        return value
    roles = {}
    for part in value.split(","):
        name, _, role = part.strip().rpartition(":")
        if not name or name in roles or role not in ("viewer", "operator", "admin"):
            raise ValueError(
                f"got {part.strip()!r}, expected `value:role` with commas between them, each value "
                "once, the role viewer, operator or admin"
            )
        roles[name] = role
    return roles


def _goes_with_issuer(secret: Secret | None, info: ValidationInfo) -> Secret | None:
    names = ("oidc_issuer", "oidc_client_id")
    if not all(name in info.data for name in names):
        return secret  # one was refused itself
    there = {name: info.data[name] is not None for name in names}
    there["oidc_client_secret"] = secret is not None
    if len({*there.values()}) > 1:
        came, lacking = (
            ", ".join(name for name in there if there[name] is is_there)
            for is_there in (True, False)
        )
        raise ValueError(f"got {came} and no {lacking}, expected all or none")
    return secret


def _facts(value: object) -> object:
    if not isinstance(value, str):
        return value
    names: dict[str, tuple[str, ...]] = {}
    for part in value.split(","):
        fact, _, name = (text.strip() for text in part.partition("="))
        if fact not in FACTS or not name:
            raise ValueError(
                f"got {part.strip()!r}, expected `fact=parameter` with commas between them, the "
                f"fact one of {', '.join(FACTS)}"
            )
        names[fact] = (*names.get(fact, ()), name)
    return names


def _call_url(template: str) -> str:
    UrlTemplate(template)
    return template


def _model(given: object) -> object:
    return model_file(given) if isinstance(given, str) else given


FactNames = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_facts)]
CallUrl = Annotated[str, AfterValidator(_call_url)]  # a template
Issuer = Annotated[str, AfterValidator(_issuer)]
LoginRoles = Annotated[dict[str, str], BeforeValidator(_roles)]
# `oidc_client_secret`, which comes after `oidc_issuer` and `oidc_client_id`, or None without them.
OidcSecret = Annotated[Secret | None, AfterValidator(_goes_with_issuer)]
ModelPath = Annotated[Path, BeforeValidator(_model)]  # a shipped model's name, or a path
Urls = Annotated[frozenset[str], BeforeValidator(_urls)]  # with commas between them
# `proxy_addresses`, which come after `proxy_user_header`, or None without it.
ProxyNetworks = Annotated[
    frozenset[Network] | None, BeforeValidator(_networks), AfterValidator(_goes_with_user_header)
]
