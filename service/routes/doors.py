"""Which door each bridge has, as the settings say."""

from pydantic import SecretStr

from service.doors.audiohook import AudioHookDoor
from service.doors.basic import BasicDoor
from service.doors.bearer import BearerDoor
from service.doors.door import Door
from service.doors.plivo import PlivoDoor
from service.doors.twilio import TwilioDoor
from service.doors.unkeyed import ClosedDoor, OpenDoor
from service.settings import Settings


def doors(settings: Settings) -> dict[str, Door]:
    """By bridge. One without credentials is open to all who can be trusted, or to nobody."""
    unkeyed: Door = OpenDoor() if settings.trusts(settings.listens_at) else ClosedDoor()

    def basic(user: str, password: SecretStr | None) -> Door:
        return BasicDoor({user: password.get_secret_value()}) if password else unkeyed

    def bearer(token: SecretStr | None) -> Door:
        return BearerDoor((token.get_secret_value(),)) if token else unkeyed

    s = settings
    return {
        "asterisk": basic(s.asterisk_user, s.asterisk_password),
        "audiohook": AudioHookDoor(s.audiohook_secrets) if s.audiohook_keys else unkeyed,
        "exotel": basic(s.exotel_user, s.exotel_password),
        "freeswitch": basic(s.freeswitch_user, s.freeswitch_password),
        "jambonz": basic(s.jambonz_user, s.jambonz_password),
        "native": bearer(s.native_token),
        "plivo": _plivo(s) or unkeyed,
        "telnyx": bearer(s.telnyx_token),
        "twilio": _twilio(s) or unkeyed,
        "vonage": bearer(s.vonage_token),
    }


def _plivo(settings: Settings) -> Door | None:
    if settings.plivo_url is None or settings.plivo_auth_token is None:
        return None
    return PlivoDoor(settings.plivo_url, settings.plivo_auth_token.get_secret_value())


def _twilio(settings: Settings) -> Door | None:
    token, shared = settings.twilio_auth_token, settings.twilio_secrets
    if settings.twilio_url is None or not (token or shared):
        # Its own token comes later, in the stream.
        return OpenDoor() if settings.twilio_token else None
    return TwilioDoor(settings.twilio_url, token.get_secret_value() if token else None, shared)
