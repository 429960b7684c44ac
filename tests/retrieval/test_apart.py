"""A file that ends or hangs the child that reads it costs that file alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.host.limits import ChildLimits
from agentd.retrieval import apart
from agentd.retrieval.apart import Reading
from agentd.retrieval.readers import Unreadable
from agentd.retrieval.walk import Found


@pytest.fixture
def files(tmp_path: Path) -> tuple[Found, Found]:
    (tmp_path / "a.md").write_text("# Seals\n\nSeals sleep.")
    (tmp_path / "big.txt").write_text("word " * 6_000_000)
    return Found(path=str(tmp_path / "a.md")), Found(path=str(tmp_path / "big.txt"))


async def test_files_are_read_in_turn_and_the_child_is_replaced(
    files: tuple[Found, Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "FILES", 1)
    async with Reading(2**20) as reading:
        document = await reading.document(files[0], "")
        assert document is not None and [chunk.text for chunk in document.chunks] == ["Seals sleep."]
        assert await reading.document(files[0], document.content_hash) is None


async def test_a_file_that_needs_too_much_memory_is_named_and_the_next_is_read(
    files: tuple[Found, Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "LIMITS", ChildLimits(memory=64 << 20))
    async with Reading(2**26) as reading:
        with pytest.raises(Unreadable, match="limit of memory"):
            await reading.document(files[1], "")
        assert await reading.document(files[0], "") is not None


async def test_a_file_that_takes_too_long_is_named_and_the_next_is_read(
    files: tuple[Found, Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Reading(2**26) as reading:
        assert await reading.document(files[0], "") is not None
        with monkeypatch.context() as patch:
            patch.setattr(apart, "CUT_SECONDS", 0.001)
            patch.setattr(apart, "CUT_SECONDS_PER_MIB", 0.0)
            with pytest.raises(Unreadable, match="too long to"):
                await reading.document(files[1], "")
        assert await reading.document(files[0], "") is not None
