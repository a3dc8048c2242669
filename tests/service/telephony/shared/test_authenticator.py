import pytest
from starlette.datastructures import QueryParams

from service.errors import KanjoError
from service.telephony.shared.authenticator import Handshake, Unauthorized


def test_unauthorized_names_its_reason() -> None:
    rejection = Unauthorized("stale")
    assert isinstance(rejection, KanjoError)
    assert rejection.reason == "stale"
    assert str(rejection) == "got no valid credentials (stale)"


@pytest.mark.parametrize(
    "query", ["", "a=1", "a=1&a=2&b=%20x+y", "a=&b", "a=%C3%BC&b=%ff", "a=1?b=2", "a=1#b=2", "&&=;"]
)
def test_the_query_of_a_handshake_is_decoded_as_the_web_framework_does(query: str) -> None:
    handshake = Handshake(f"/calls/native?{query}", {})
    assert handshake.query == dict(QueryParams(query))
