from pathlib import Path

import pytest

from service.store.errors import StoreUnavailable
from service.store.store import Store
from tests.service.store.backend import Backend, delivered, running, until
from tests.service.store.facts import whole_call


async def test_the_embedded_store_is_marked_as_such_and_needs_no_file(tmp_path: Path) -> None:
    store = Store.connect(None, outbox_path=tmp_path / "unused", retention_s=60)
    assert store.embedded
    async with running(store):
        whole_call(store)
        await delivered(store)
        assert store.redis_up
        assert len((await store.calls(None, 10)).calls) == 1
    assert not (tmp_path / "unused").exists()


async def test_reads_fail_while_redis_is_away_and_writes_do_not(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        await until(lambda: store.redis_up)
        real.server.stop()
        whole_call(store)
        with pytest.raises(StoreUnavailable, match="got no answer from Redis"):
            await store.cursor()
        for reply in (store.calls(None, 1), store.call("call-1"), store.reader.alerts(None, 1)):
            with pytest.raises(StoreUnavailable):
                await reply
        assert store.pending_writes == 8
