from __future__ import annotations

from pathlib import Path

from agentd.storage.channel_state import ChannelState
from agentd.storage.store import Store, load_migrations

MIGRATIONS = load_migrations("agentd.storage")


async def test_a_value_is_there_after_a_restart_until_it_is_replaced_or_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "agentd.db"
    async with Store(path, MIGRATIONS) as store:
        state = ChannelState(store, "telegram")
        assert await state.get("offset") is None
        await state.put("offset", "1")
        await state.put("offset", "2")
    async with Store(path, MIGRATIONS) as store:
        state = ChannelState(store, "telegram")
        assert await state.get("offset") == "2"
        await state.put("offset", None)
        assert await state.get("offset") is None


async def test_channels_do_not_see_each_others_keys(tmp_path: Path) -> None:
    async with Store(tmp_path / "agentd.db", MIGRATIONS) as store:
        one, other = ChannelState(store, "one"), ChannelState(store, "other")
        await one.put("key", "1")
        await other.put("key", "2")
        await one.put("key", None)
        assert (await one.get("key"), await other.get("key")) == (None, "2")
