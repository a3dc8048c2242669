import pytest

from service.telephony.shared.authenticator import Unauthorized
from service.telephony.shared.nonces import Nonces, UsedNonce


def replayed(nonces: Nonces, nonce: str, now: float = 0.0) -> bool:
    try:
        nonces.use(nonce, now, now + 10)
    except Unauthorized as rejection:
        return rejection.reason == "replayed"
    return False


def test_a_nonce_is_accepted_once_until_it_expires() -> None:
    nonces = Nonces(most=3)
    assert not replayed(nonces, "a", 0)
    assert replayed(nonces, "a", 10)
    assert not replayed(nonces, "a", 10.5)


def test_of_too_many_the_oldest_are_forgotten() -> None:
    nonces = Nonces(most=3)
    assert not any(replayed(nonces, nonce) for nonce in "abcd")
    assert len(nonces) == 3
    assert all(replayed(nonces, nonce) for nonce in "bcd")
    assert not replayed(nonces, "a")


def test_restored_nonces_are_refused_and_those_that_are_used_are_told() -> None:
    told: list[UsedNonce] = []
    before, after = Nonces(most=3), Nonces(most=3)
    before.on_used = told.append
    before.use("a\udcff", 0.0)
    assert replayed(before, "a\udcff")
    assert len(told) == 1
    after.restore(told)
    assert replayed(after, "a\udcff")


def test_nothing_can_be_remembered_by_nobody() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Nonces(most=0)
