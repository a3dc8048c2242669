from service.errors import KanjoError
from service.telephony.shared.authenticator import Unauthorized


def test_unauthorized_names_its_reason() -> None:
    refusal = Unauthorized("stale")
    assert isinstance(refusal, KanjoError)
    assert refusal.reason == "stale"
    assert str(refusal) == "got no valid credentials (stale)"
