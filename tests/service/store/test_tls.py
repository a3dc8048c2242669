"""Redis over TLS, with certificates made here: who is trusted, and files that can't be used."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisAway

from service.store.errors import UnusableRedisUrl
from service.store.redis_client import connect
from tests.limits import ENOUGH_S
from tests.redis_server import free_port, redis_program


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority (ca), a server's and a client's certificate, each with its key."""
    folder = tmp_path_factory.mktemp("certificates")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    for name in ("server", "client"):
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
        request = (*new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(folder, "req", *request)
        sign = ("-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(folder, "x509", "-req", *sign, "-out", f"{name}.crt", "-extfile", "names")
    return folder


@pytest.fixture
def port(certificates: Path, tmp_path: Path) -> Iterator[int]:
    """The port of a Redis that speaks TLS alone and wants a certificate of its clients."""
    port = free_port()
    tls = [
        *("--port", "0", "--tls-port", str(port), "--tls-ca-cert-file", f"{certificates}/ca.crt"),
        *("--tls-cert-file", f"{certificates}/server.crt"),
        *("--tls-key-file", f"{certificates}/server.key", "--tls-auth-clients", "yes"),
    ]
    command = [redis_program(), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", "", *tls]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + ENOUGH_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.01)
        try:
            yield port
        finally:
            process.kill()


async def test_redis_is_reached_over_tls_with_an_authority_and_a_client_certificate(
    certificates: Path, port: int
) -> None:
    own = f"ssl_certfile={certificates}/client.crt&ssl_keyfile={certificates}/client.key"
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificates}/ca.crt&{own}"
    redis = connect(url)
    assert await redis.ping()
    await redis.aclose()


@pytest.mark.parametrize(
    "options", ["", "?ssl_ca_certs={0}/ca.crt"], ids=["unknown authority", "no certificate"]
)
async def test_a_redis_that_is_not_trusted_or_does_not_trust_is_away(
    certificates: Path, port: int, options: str
) -> None:
    redis = connect(f"rediss://127.0.0.1:{port}/0" + options.format(certificates))
    with pytest.raises((RedisAway, OSError)):
        await redis.ping()
    await redis.aclose()


@pytest.mark.parametrize("scheme", ["rediss://:hidden@redis/0", "rediss+sentinel://:hidden@a/b"])
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            "ssl_ca_certs=/none/hidden",
            "got a file as ssl_ca_certs that can't be read (No such file",
        ),
        ("ssl_certfile={0}/client.crt&ssl_keyfile={0}/ca.key", "got files or options of TLS that"),
        ("ssl_ca_certs={0}/client.key", "got files or options of TLS that can't be used"),
        ("ssl_keyfile={0}/client.key", "got files or options of TLS that can't be used"),
    ],
)
def test_files_that_can_not_be_used_are_refused_at_the_start(
    certificates: Path, scheme: str, options: str, problem: str
) -> None:
    with pytest.raises(UnusableRedisUrl) as refused:
        connect(f"{scheme}?{options.format(certificates)}")
    assert str(refused.value).startswith(problem)
    assert "hidden" not in str(refused.value)
