"""A master, a replica and three Sentinels, all real processes, for tests of a failover."""

import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer, free_port, redis_program

SERVICE = "kanjo-site"
PASSWORD = "0123456789abcdef"  # of Redis
SENTINEL_PASSWORD = "fedcba9876543210"
CONFIG = f"""\
bind 127.0.0.1
port {{port}}
requirepass {SENTINEL_PASSWORD}
sentinel sentinel-pass {SENTINEL_PASSWORD}
sentinel monitor {SERVICE} 127.0.0.1 {{master}} 2
sentinel auth-pass {SERVICE} {PASSWORD}
sentinel down-after-milliseconds {SERVICE} 400
sentinel failover-timeout {SERVICE} 2000
"""


class RedisSite:
    """Redis with a replica that Sentinels make the master when the first one fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shared = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
        shared += ("--repl-diskless-sync-delay", "0")
        for name in ("first", "second"):
            (folder / name).mkdir()
        self.first = RedisServer(folder / "first", *shared)
        self.second = RedisServer(
            folder / "second", *shared, "--replicaof", "127.0.0.1", str(self.first.port)
        )
        self.ports = [free_port() for _ in range(3)]
        self._sentinels: list[subprocess.Popen[bytes]] = []
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.url = f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0?sentinel_password={SENTINEL_PASSWORD}"

    def start(self) -> None:
        """Returns when the replica follows the master and the Sentinels know of one another."""
        self.first.start()
        self.second.start()
        wait(lambda: client(self.first.port).info("replication")["slave0"]["state"] == "online")
        for port in self.ports:
            config = self._folder / f"sentinel-{port}.conf"
            config.write_text(CONFIG.format(port=port, master=self.first.port))
            with config.with_suffix(".log").open("wb") as log:
                self._sentinels.append(
                    subprocess.Popen(
                        [redis_program(), str(config), "--sentinel"],
                        stdout=log,
                        stderr=log,
                        cwd=self._folder,
                    )
                )
        for port in self.ports:
            wait(lambda port=port: self._knows_all(port))  # type: ignore[misc]

    def stop_sentinel(self, i: int) -> None:
        """Kills one of the Sentinels, as a crash of its machine would."""
        self._sentinels[i].kill()
        self._sentinels[i].wait()

    def stop(self) -> None:
        """Kills the master, the replica and all Sentinels."""
        for i in range(len(self._sentinels)):
            self.stop_sentinel(i)
        self.second.stop()
        self.first.stop()

    def _knows_all(self, port: int) -> bool:
        state = client(port, SENTINEL_PASSWORD).sentinel_master(SERVICE)
        return state["num-slaves"] == 1 and state["num-other-sentinels"] == len(self.ports) - 1


def client(port: int, password: str = PASSWORD) -> Redis:
    """Returns a client of one process."""
    return Redis(port=port, password=password, decode_responses=True)


def wait(condition: object) -> None:
    """Returns when the condition holds; Redis may refuse to answer until then."""
    assert callable(condition)
    deadline = time.monotonic() + ENOUGH_S
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (RedisError, KeyError):
            pass
        time.sleep(0.05)
    raise AssertionError("the processes of Redis did not find one another")
