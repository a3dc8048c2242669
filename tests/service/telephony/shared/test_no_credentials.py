import pytest

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.no_credentials import AcceptAll, RejectAll

ANYBODY = Handshake("/calls/native", {"authorization": "Bearer anything"})


def test_accept_all_accepts_every_client() -> None:
    AcceptAll().check(Handshake("/calls/native", {}), 0.0)
    AcceptAll().check(ANYBODY, 0.0)


def test_reject_all_rejects_every_client() -> None:
    with pytest.raises(Unauthorized) as refused:
        RejectAll().check(ANYBODY, 0.0)
    assert refused.value.reason == "no_credentials"
