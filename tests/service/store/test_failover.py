"""A copy of Redis's data that lacks the last writes takes its place."""

from pathlib import Path

from service.store import keys
from tests.redis_server import RedisServer
from tests.service.store.backend import Backend, delivered, running, until
from tests.service.store.facts import FIRING, NOW, PENDING, reading, started, transition


async def copy_of(real: Backend, folder: Path) -> None:
    """Puts into a folder what Redis holds now, as a replica has it."""
    replica = RedisServer(folder, "--repl-diskless-sync-delay", "0")
    replica.start()
    try:
        client = real.redis.from_url(replica.url, decode_responses=True)
        assert real.server is not None
        await client.replicaof("127.0.0.1", real.server.port)

        async def synchronised() -> bool:
            return (await client.info("replication"))["master_link_status"] == "up"

        async def is_on_disk() -> bool:
            info = await client.info("persistence")
            return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]

        await until(synchronised)
        await until(is_on_disk)
        await client.replicaof("NO", "ONE")
        await client.aclose()
    finally:
        replica.stop()


async def test_what_a_failed_master_had_confirmed_is_written_to_its_replica_again(
    real: Backend, tmp_path: Path
) -> None:
    assert real.server is not None
    (tmp_path / "replica").mkdir()
    async with running(real.store(heartbeat_s=0.05)) as store:
        store.call_started("s1", started(), NOW)
        store.reading("s1", reading(1), NOW)
        store.transition("s1", transition(1, PENDING), NOW)
        await delivered(store)
        await copy_of(real, tmp_path / "replica")
        store.reading("s1", reading(2), NOW)
        store.transition("s1", transition(2, FIRING), NOW)
        store.call_ended("s1", "call-1", "stop", 9.0, NOW)
        await delivered(store)
        expected = await real.everything()
        real.server.stop()
        successor = RedisServer(tmp_path / "replica", port=real.server.port)
        successor.start()
        try:

            async def has_ended() -> bool:
                return bool(await real.redis.hget(keys.call_key("call-1"), "state") == "ended")

            await until(has_ended)
            found = await real.everything()
            stored = [fields for _, fields in found[keys.ALERTS]]
            assert [(f["number"], f["state"]) for f in stored] == [
                (fields["number"], fields["state"]) for _, fields in expected[keys.ALERTS]
            ]
            assert set(found) == set(expected)
            readings = keys.readings_key("call-1")
            assert [f for _, f in found[readings]] == [f for _, f in expected[readings]]
            kinds = [fields["kind"] for _, fields in expected[keys.EVENTS]]
            assert await real.event_kinds() == kinds
        finally:
            successor.stop()
