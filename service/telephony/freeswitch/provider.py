"""FreeSWITCH's settings, and its row in the table of providers."""

from uuid import uuid4

from pydantic import Field

from service.telephony.freeswitch.bridge import FreeswitchBridge, Mix
from service.telephony.freeswitch.client import FreeswitchClient
from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.basic import basic_authenticator
from service.telephony.shared.provider import BadQuery, BridgeOptions, Documentation, Provider
from service.telephony.shared.settings import ProviderSettings, Secret, User


class FreeswitchSettings(ProviderSettings):
    """The credentials of FreeSWITCH's handshakes, and whether it receives alerts."""

    freeswitch_user: User = "kanjo"
    freeswitch_password: Secret | None = Field(None, description="HTTP Basic: password")
    freeswitch_alerts: bool = Field(False, description="send FreeSWITCH alerts, as events `::json`")


def create_bridge(
    settings: FreeswitchSettings, options: BridgeOptions, handshake: Handshake
) -> FreeswitchBridge:
    """Returns the bridge of one connection, with rate, mix and call id of its query, if any.

    Raises:
        BadQuery: the rate or the mix is impossible.
    """
    query = handshake.query
    rate, mix = query.get("rate"), query.get("mix")
    if rate is not None and not (rate.isdecimal() and len(rate) <= 5):
        raise BadQuery(f"rate {rate[:40]!r}", "8000, 16000, ... 64000")
    if mix is not None and mix not in list(Mix):
        raise BadQuery(f"mix {mix[:40]!r}", ", ".join(Mix))
    return FreeswitchBridge(
        options.analysed_tracks,
        call_id_hint=query.get("call_id") or uuid4().hex,
        channels=(options.leg, options.other_leg),
        mono=options.leg,
        analyse_mix=options.analyse_mix,
        sample_rate=None if rate is None else int(rate),
        mix=None if mix is None else Mix(mix),
        alerts=settings.freeswitch_alerts,
        max_frame_bytes=options.max_frame_bytes,
    )


def create_authenticator(settings: FreeswitchSettings) -> Authenticator | None:
    """Returns an authenticator of the password if it is set."""
    return basic_authenticator(settings.freeswitch_user, settings.freeswitch_password)


FREESWITCH = Provider(
    name="freeswitch",
    settings=FreeswitchSettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=FreeswitchClient,
    either_leg=True,
    documentation=Documentation(
        title="FreeSWITCH",
        transport="binary",
        voices="both",
        encodings="L16",
        replies="alerts, if wanted",
        credentials="HTTP Basic",
    ),
)
