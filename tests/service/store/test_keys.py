"""The keys: the same in keys.py and write.lua, and different for every call."""

from service.store import keys
from tests.service.store.backend import Backend, delivered, running
from tests.service.store.facts import NOW, started, whole_call


async def test_the_keys_of_write_lua_are_those_of_the_module(backend: Backend) -> None:
    async with running(backend.store()) as store:
        whole_call(store)
        store.call_started("s2", started("call-2"), NOW)
        await delivered(store)
        assert set(await backend.redis.keys("*")) == {
            keys.DATA,
            keys.ALERTS,
            keys.EVENTS,
            keys.ALERTS_BY_TIME,
            keys.CALLS_BY_TIME,
            keys.CALLS_LIVE,
            keys.CALLS_LIVE_BY_TIME,
            keys.alert_key("s1-caller-anger-1"),
            keys.call_key("call-1"),
            keys.call_key("call-2"),
            keys.readings_key("call-1"),
            keys.session_key("s1"),
            keys.session_key("s2"),
            keys.session_alerts_key("s1"),
        }


async def test_call_ids_that_resemble_keys_are_calls_of_their_own(backend: Backend) -> None:
    call_ids = [f"call-1{more}" for more in ("", ":readings", ":readings:", ":readings:readings")]
    call_ids += ["readings:call-1", "live", "by-time", ":"]
    async with running(backend.store()) as store:
        for number, call_id in enumerate(call_ids):
            whole_call(store, f"s{number}", call_id)
        await delivered(store)
        for call_id in call_ids:
            call = await store.call(call_id)
            assert call is not None
            assert call.call_id == call_id
            assert [reading.call_id for reading in call.readings] == [call_id] * 3
        assert store.rejected_writes == 0
