"""The public address of the service, which some providers sign."""

from urllib.parse import urlsplit, urlunsplit


def spellings(url: str) -> list[str]:
    """Returns the equivalent spellings of a URL: with and without port 443 and the last slash."""
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(":443")
    hosts = (host, f"{host}:443") if parts.port in (None, 443) else (host,)
    path = parts.path.rstrip("/")
    return [
        urlunsplit(parts._replace(netloc=netloc, path=path + slash))
        for netloc in hosts
        for slash in ("", "/")
    ]
