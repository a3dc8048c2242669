"""Errors of a websocket client's handshake, as errors of this service's clients."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from service.errors import ServiceRefused, ServiceUnreachable


@contextmanager
def handshake_errors(url: str) -> Iterator[None]:
    """Turns what `websockets` and asyncio raise while they connect to `url` into typed errors.

    Raises:
        ServiceRefused: the service answered the handshake with an HTTP status.
        ServiceUnreachable: nothing answered, or not as a websocket server.
    """
    try:
        yield
    except InvalidStatus as refused:
        response = refused.response
        raise ServiceRefused.from_body(url, response.status_code, bytes(response.body)) from refused
    except TimeoutError as error:
        raise ServiceUnreachable(url, "no answer in time") from error
    except OSError as error:
        number = error.errno or 0  # the errors of name resolution have negative numbers
        problem = os.strerror(number) if number > 0 else str(error)
        raise ServiceUnreachable(url, problem) from error
    except (InvalidHandshake, InvalidURI, ValueError) as error:
        raise ServiceUnreachable(url, str(error)) from error
