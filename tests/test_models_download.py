"""Bytes of an offer become a whole file, whatever the server and the disk do."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.errors import Busy, ModelError, StateError
from agentd.models import download
from agentd.models.sources import LocalFile
from tests.hub_house import house, tiny_model


@pytest.fixture
def model() -> bytes:
    return tiny_model()


def test_a_hash_is_read_in_blocks_and_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = tmp_path / "x"
    path.write_bytes(b"x" * (download.BLOCK + 1))
    digest = download.digest_of(path, lambda *progress: told.append(progress))
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [done for _, done, _ in told] == [download.BLOCK, download.BLOCK + 1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MB, smaller than the model."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode(errors='replace').strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


async def test_a_disk_that_fills_in_mid_download_is_told_and_made_free_again(
    small_disk: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(model) > 2 * 1024 * 1024
    monkeypatch.setattr(download, "check_space", lambda directory, needed: None)
    async with house(small_disk, model) as h:
        with pytest.raises(StateError, match=r"No space left on device\. The unfinished download was deleted"):
            await h.pull()
        assert h.partials == [] and h.shelf.models() == []
        source = LocalFile(name="mine", path=small_disk.parent / "mine.gguf")
        source.path.write_bytes(model)
        with pytest.raises(StateError, match="No space left on device"):
            await h.pull(source)
        assert h.partials == []


async def test_a_disk_that_is_too_small_is_told_before(small_disk: Path, model: bytes) -> None:
    async with house(small_disk, model) as h:
        with pytest.raises(StateError, match=r"has 0\.00 GB free"):
            await h.pull()


async def test_a_disk_without_room_is_told_before_anything_is_downloaded(
    tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SPARE_BYTES", 1 << 60)
    async with house(tmp_path, model) as h:
        with pytest.raises(StateError, match="GB are needed; make room"):
            await h.pull()
        assert h.hub.downloads == []


async def test_two_pulls_of_the_same_file_do_not_meet(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.stall_after = [100_000]
        first = asyncio.create_task(h.pull(), name="first pull")
        while not h.told:  # noqa: ASYNC110 - the thread tells no event of this loop
            await asyncio.sleep(0.01)
        with pytest.raises(Busy, match="another process downloads"):
            await h.pull()
        assert (await first).fresh


async def test_a_file_that_is_not_what_was_promised_is_deleted(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.promised_sha256 = "0" * 64
        with pytest.raises(ModelError, match="sent another file than it promised") as raised:
            await h.pull()
        assert "0" * 64 in str(raised.value) and hashlib.sha256(model).hexdigest() in str(raised.value)
        assert h.partials == [] and h.shelf.models() == []


async def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.cut_after = [100_000, 200_000]
        await h.pull()
        assert h.hub.sent == len(model), "no byte was sent twice"
        assert [request.headers.get("range") for request in h.hub.downloads] == [None, "bytes=100000-", "bytes=300000-"]


async def test_a_server_that_knows_no_ranges_is_asked_for_the_whole(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.cut_after, h.hub.ranges = [100_000], False
        assert (await h.pull()).model.path.read_bytes() == model
        assert h.hub.sent == len(model) + 100_000


async def test_a_server_that_stalls_is_given_up_and_what_came_is_kept(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.stall_after = [100_000] + [0] * 20
        with pytest.raises(ModelError, match="does not answer; what was downloaded is kept"):
            await h.pull()
        assert [path.stat().st_size for path in h.partials] == [100_000]
        h.hub.stall_after = [50_000]
        await h.pull()
        assert h.hub.sent == len(model)


async def test_nothing_is_said_to_be_kept_where_nothing_came(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.stall_after = [0] * 20
        with pytest.raises(ModelError, match=r"does not answer; try again later"):
            await h.pull()


@pytest.mark.parametrize("difference", [-1000, 1000])
async def test_a_size_that_was_a_lie_is_an_error(tmp_path: Path, model: bytes, difference: int) -> None:
    async with house(tmp_path, model) as h:
        h.hub.promised_size = len(model) + difference
        with pytest.raises(ModelError, match=r"more than the|less than it promised"):
            await h.pull()
        assert h.shelf.models() == []


async def test_a_server_that_sends_more_than_it_promised_is_stopped(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.surplus = b"x" * 1_000_000
        with pytest.raises(ModelError, match="sends more than"):
            await h.pull()
        assert h.partials == [] and h.shelf.models() == []


async def test_a_length_that_is_too_long_is_a_break(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.sent_length = len(model) + 10
        with pytest.raises(ModelError):
            await h.pull()
        assert h.shelf.models() == []
        h.hub.sent_length = None
        assert (await h.pull()).model.path.read_bytes() == model
