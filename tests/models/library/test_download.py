"""A download ends with the complete file or a clear error, whatever the server and the disk do."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.errors import Busy, ModelError, StateError
from agentd.models.library import download
from agentd.models.library.sources import LocalFile, WebFile
from agentd.testing.http import HttpServer, Reply, Request
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
        with pytest.raises(StateError, match=rf"{os.strerror(errno.ENOSPC)}\. .* deleted"):
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
        with pytest.raises(StateError, match=r" GB .* GB .*make room"):
            await h.pull()
        assert h.hub.downloads == []


async def test_two_pulls_of_the_same_file_do_not_meet(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.stall_after = [100_000]
        first = asyncio.create_task(h.pull(), name="first pull")
        while not h.told:  # noqa: ASYNC110 - the thread tells no event of this loop
            await asyncio.sleep(0.01)
        with pytest.raises(Busy, match="another process"):
            await h.pull()
        assert (await first).fresh


async def test_a_file_that_is_not_what_was_promised_is_deleted(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.promised_sha256 = "0" * 64
        with pytest.raises(ModelError, match="sent another file") as raised:
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
        with pytest.raises(ModelError, match=r" 0\.3 s; .* kept"):
            await h.pull()
        assert [path.stat().st_size for path in h.partials] == [100_000]
        h.hub.stall_after = [50_000]
        await h.pull()
        assert h.hub.sent == len(model)


async def test_nothing_is_said_to_be_kept_where_nothing_came(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.stall_after = [0] * 20
        with pytest.raises(ModelError, match=r" 0\.3 s; try again"):
            await h.pull()


@pytest.mark.parametrize("difference", [-1000, 1000])
async def test_a_size_that_was_a_lie_is_an_error(tmp_path: Path, model: bytes, difference: int) -> None:
    async with house(tmp_path, model) as h:
        h.hub.promised_size = len(model) + difference
        with pytest.raises(ModelError, match=r"more than the|less than it announced"):
            await h.pull()
        assert h.shelf.models() == []


async def test_a_server_that_sends_more_than_it_promised_is_stopped(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.surplus = b"x" * 1_000_000
        with pytest.raises(ModelError, match="sends more than"):
            await h.pull()
        assert h.partials == [] and h.shelf.models() == []


async def test_a_length_that_is_too_long_is_a_break_unless_the_hash_is_right(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.sent_length = len(model) + 10
        with pytest.raises(ModelError, match="broke off"):
            await h.pull(WebFile(name="small", url=f"{h.hub.url}/o/r/resolve/main/small.gguf"))
        assert h.shelf.models() == []
        assert (await h.pull()).model.path.read_bytes() == model


async def test_a_file_on_another_server_is_fetched_without_token_and_cookie(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.cut_after, h.hub.redirects = [100_000], 5
        assert (await h.pull()).model.path.read_bytes() == model
        assert {request.headers.get("authorization") for request in h.hub.downloads} == {"Bearer hf_token"}
        assert len(h.hub.asked_elsewhere) == 10
        for request in h.hub.asked_elsewhere:
            assert "authorization" not in request.headers and "cookie" not in request.headers
        assert h.hub.asked_elsewhere[-1].headers["range"] == "bytes=100000-"


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("file:///etc/passwd", "web address"),
        ("gopher://127.0.0.1/x", "web address"),
        ("http://[::1", "not an address"),
    ],
)
async def test_a_redirect_to_something_else_is_not_followed(
    tmp_path: Path, model: bytes, location: str, what: str
) -> None:
    async with house(tmp_path, model) as h:
        h.hub.location = location
        with pytest.raises(ModelError, match=what):
            await h.pull()
        assert len(h.hub.downloads) == 1 and h.shelf.models() == []


async def test_redirects_have_an_end(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.redirects = 6
        with pytest.raises(ModelError, match="redirects more than 5 times"):
            await h.pull()
        assert len(h.hub.downloads) == 1, "another try would end the same"


async def test_the_signature_of_an_address_is_in_no_message_and_no_record(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        url = f"{h.hub.url}/o/r/resolve/main/small.gguf"
        pulled = await h.pull(WebFile(name="small", url=f"{url}?X-Signature=SECRET"))
        assert pulled.model.record is not None and pulled.model.record.source == url
        assert h.hub.requests[0].query == {"X-Signature": ["SECRET"]}
        h.hub.cut_after = [0] * 20
        with pytest.raises(ModelError) as told:
            await h.pull(WebFile(name="other", url=f"{url}?X-Signature=SECRET"))
        assert "SECRET" not in str(told.value)


async def test_a_part_that_was_not_asked_for_is_refused(tmp_path: Path, model: bytes) -> None:
    async def other_part(request: Request, reply: Reply) -> None:
        headers = {"content-range": f"bytes 5-{len(model) - 1}/{len(model)}"}
        await reply.send(206, model[5:], headers)

    async with house(tmp_path, model) as h, HttpServer(other_part) as server:
        h.hub.location = f"{server.url}/x"
        with pytest.raises(ModelError, match="sends another part"):
            await h.pull()


async def test_a_server_that_is_overloaded_is_asked_again(tmp_path: Path, model: bytes) -> None:
    refusals = [503, 429]

    async def busy(request: Request, reply: Reply) -> None:
        await (reply.send(refusals.pop()) if refusals else reply.send(200, model))

    async with house(tmp_path, model) as h, HttpServer(busy) as server:
        h.hub.location = f"{server.url}/x"
        assert (await h.pull()).fresh and refusals == []


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
async def test_an_unfinished_download_that_is_a_link_does_not_touch_its_target(
    tmp_path: Path, model: bytes, kind: str
) -> None:
    async with house(tmp_path, model) as h:
        h.shelf.partial.mkdir(parents=True)
        part, target = h.shelf.partial / f"{hashlib.sha256(model).hexdigest()[:32]}.part", tmp_path / "target"
        target.write_bytes(b"precious" * 1_000_000)
        match kind:
            case "link":
                part.symlink_to(target)
            case "hard link":
                part.hardlink_to(target)
            case _:
                os.mkfifo(part)
        with pytest.raises(StateError, match=r"is a link|not a separate") as told:
            await h.pull()
        assert str(part) in str(told.value) and "delete it" in str(told.value)
        assert target.read_bytes() == b"precious" * 1_000_000
        part.unlink()
        assert (await h.pull()).fresh


def test_a_copy_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / f"{os.getpid()}.copy").symlink_to(tmp_path / "target")
    path, _ = download.copy(tmp_path / "source", tmp_path, lambda *told: None)
    assert path.read_bytes() == b"new" and (tmp_path / "target").read_bytes() == b"precious"
