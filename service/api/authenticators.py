"""Which door each bridge has, as the settings say."""

from pydantic import SecretStr

from service.settings import Settings
from service.telephony.audiohook.auth import AudioHookAuthenticator
from service.telephony.plivo.auth import PlivoAuthenticator
from service.telephony.shared.authenticator import Authenticator
from service.telephony.shared.basic import BasicAuthenticator
from service.telephony.shared.bearer import BearerAuthenticator
from service.telephony.shared.no_credentials import AcceptAll, RejectAll
from service.telephony.twilio.auth import TwilioAuthenticator


def authenticators(settings: Settings) -> dict[str, Authenticator]:
    """By bridge. One without credentials is open to all who can be trusted, or to nobody."""
    unkeyed: Authenticator = AcceptAll() if settings.trusts(settings.listens_at) else RejectAll()

    def basic(user: str, password: SecretStr | None) -> Authenticator:
        return BasicAuthenticator({user: password.get_secret_value()}) if password else unkeyed

    def bearer(token: SecretStr | None) -> Authenticator:
        return BearerAuthenticator((token.get_secret_value(),)) if token else unkeyed

    s = settings
    return {
        "asterisk": basic(s.asterisk_user, s.asterisk_password),
        "audiohook": AudioHookAuthenticator(s.audiohook_secrets) if s.audiohook_keys else unkeyed,
        "exotel": basic(s.exotel_user, s.exotel_password),
        "freeswitch": basic(s.freeswitch_user, s.freeswitch_password),
        "jambonz": basic(s.jambonz_user, s.jambonz_password),
        "native": bearer(s.native_token),
        "plivo": _plivo(s) or unkeyed,
        "telnyx": bearer(s.telnyx_token),
        "twilio": _twilio(s) or unkeyed,
        "vonage": bearer(s.vonage_token),
    }


def _plivo(settings: Settings) -> Authenticator | None:
    if settings.plivo_url is None or settings.plivo_auth_token is None:
        return None
    return PlivoAuthenticator(settings.plivo_url, settings.plivo_auth_token.get_secret_value())


def _twilio(settings: Settings) -> Authenticator | None:
    token, shared = settings.twilio_auth_token, settings.twilio_secrets
    if settings.twilio_url is None or not (token or shared):
        # Its own token comes later, in the stream.
        return AcceptAll() if settings.twilio_token else None
    return TwilioAuthenticator(
        settings.twilio_url, token.get_secret_value() if token else None, shared
    )
