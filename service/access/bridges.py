"""How clients of bridges get in for which no credentials of their provider are set up."""

from service.access.access import Access
from service.access.roles import Role
from service.telephony.shared.authenticator import Handshake, Unauthorized


class BridgeTokens:
    """Accepts everybody while access is open, and then clients that send a bridge's API token."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @property
    def open(self) -> bool:
        """Whether everybody is accepted."""
        return self._access.open

    def check(self, handshake: Handshake, now: float) -> None:
        """Returns if the client may connect; `now` is not used, because access has its clock.

        Raises:
            Unauthorized: no_credentials if no authorization came, else wrong_key.
        """
        if self._access.open:
            return
        if not self._access.identify(handshake.headers).may(Role.BRIDGE):
            came = "authorization" in handshake.headers
            raise Unauthorized("wrong_key" if came else "no_credentials")
