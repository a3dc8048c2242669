"""The files of TLS to Redis, looked at before the first connection."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio.connection import RedisSSLContext

from service.store.errors import UnusableRedisUrl

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def check_files(options: Mapping[str, Any], context: RedisSSLContext) -> None:
    """Reads the files that the options name, as each connection will.

    Raises:
        UnusableRedisUrl: one can't be read, or is no certificate or key that fits.
    """
    for name in FILES:
        if path := options.get(name):
            try:
                Path(path).open("rb").close()
            except OSError as failure:
                raise UnusableRedisUrl(
                    f"got a file as {name} that can't be read ({failure.strerror})",
                    "one that the service may read",
                ) from None
    try:
        context.get()
    except (OSError, TypeError, ValueError):  # ssl.SSLError is an OSError
        raise UnusableRedisUrl(
            "got files or options of TLS that can't be used",
            "certificates and a key in PEM, and the certificate's own key",
        ) from None
