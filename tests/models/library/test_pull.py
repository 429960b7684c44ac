"""A model is pulled, recorded and compared with what was there; every difference is reported."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agentd.errors import ModelError, UsageError
from agentd.models.library.sources import HubFile, LocalFile, WebFile
from agentd.testing.gguf import write_random_model
from tests.hub_house import NAME, house, tiny_model


@pytest.fixture
def model() -> bytes:
    return tiny_model()


async def test_a_model_is_pulled_checked_and_recorded(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        pulled = await h.pull()
        assert pulled.fresh and pulled.model.path.read_bytes() == model
        record = pulled.model.record
        assert record is not None
        assert (record.source, record.revision) == ("o/r/small.gguf", h.hub.revision("o/r"))
        assert (record.sha256, record.size) == (hashlib.sha256(model).hexdigest(), len(model))
        assert record.licence == "mit"
        assert h.partials == []
        assert ("downloading", len(model), len(model)) in h.told and ("checking", len(model), len(model)) in h.told
        assert h.hub.revision("o/r") in h.hub.downloads[0].path, "the commit is asked for, not a branch"
        assert h.hub.downloads[0].headers["authorization"] == "Bearer hf_token"


async def test_a_second_pull_downloads_nothing(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        await h.pull()
        assert not (await h.pull()).fresh
        assert len(h.hub.downloads) == 1


async def test_a_model_that_was_damaged_on_disk_is_pulled_again(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        path = (await h.pull()).model.path
        path.write_bytes(model[:-1] + b"!")
        assert (await h.pull()).fresh and path.read_bytes() == model


async def test_a_later_pull_that_differs_is_said_aloud_and_changes_nothing(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        path = (await h.pull()).model.path
        was = h.hub.revision("o/r")
        write_random_model(tmp_path / "other.gguf")
        h.hub.files[NAME] = (tmp_path / "other.gguf").read_bytes()
        with pytest.raises(UsageError, match="no longer") as raised:
            await h.pull()
        assert was in str(raised.value) and h.hub.revision("o/r") in str(raised.value)
        assert path.read_bytes() == model
        pulled = await h.pull(replace=True)
        assert path.read_bytes() == h.hub.files[NAME]
        assert pulled.model.record is not None and pulled.model.record.revision == h.hub.revision("o/r")


async def test_another_model_of_the_same_name_is_not_replaced_unasked(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.files["o/other/small.gguf"] = model
        other = HubFile(name="small", repo="o/other", file="small.gguf")
        await h.pull()
        with pytest.raises(UsageError, match=r"already .*from o/r/small\.gguf"):
            await h.pull(other)
        await h.pull(other, name="second")
        assert [found.name for found in h.shelf.models()] == ["second", "small"]
        (h.shelf.directory / "small.gguf.json").unlink()
        with pytest.raises(UsageError, match="by hand"):
            await h.pull()


async def test_a_later_pull_goes_on_with_what_is_there(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.cut_after = [100_000] + [0] * 20
        with pytest.raises(ModelError, match="is kept"):
            await h.pull()
        assert [path.stat().st_size for path in h.partials] == [100_000]
        h.hub.cut_after = []
        assert (await h.pull()).fresh
        assert h.hub.sent == len(model) and h.partials == []
        assert h.told[-1] == ("checking", len(model), len(model))


async def test_a_small_file_is_checked_by_its_git_hash(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.lfs = False
        pulled = await h.pull()
        assert pulled.model.record is not None and pulled.model.record.sha256 == hashlib.sha256(model).hexdigest()
        assert not (await h.pull()).fresh


async def test_a_file_that_is_no_model_is_deleted_again(tmp_path: Path) -> None:
    async with house(tmp_path, b"<!doctype html><p>Please log in.") as h:
        with pytest.raises(ModelError, match=r"o/r/small\.gguf .* deleted .* web page"):
            await h.pull()
        assert h.partials == [] and h.shelf.models() == []


async def test_any_web_server_will_do_and_gets_no_token(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        url = f"{h.hub.url}/o/r/resolve/main/small.gguf"
        h.hub.cut_after = [100_000]
        pulled = await h.pull(WebFile(name="small", url=url))
        record = pulled.model.record
        assert record is not None and (record.source, record.revision) == (url, "")
        assert record.sha256 == hashlib.sha256(model).hexdigest()
        assert all("authorization" not in request.headers for request in h.hub.requests)
        assert not (await h.pull(WebFile(name="small", url=url))).fresh


async def test_a_file_of_this_machine_is_copied_onto_the_shelf(tmp_path: Path, model: bytes) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(model)
    async with house(tmp_path, model) as h:
        pulled = await h.pull(LocalFile(name="mine", path=mine))
        assert pulled.model.path.read_bytes() == model and mine.exists() and h.partials == []
        assert pulled.model.record is not None and pulled.model.record.source == str(mine)
        assert not (await h.pull(LocalFile(name="mine", path=pulled.model.path))).fresh
        with pytest.raises(UsageError, match="already"):
            await h.pull(LocalFile(name="mine", path=mine))
        mine.write_bytes(b"no model")
        with pytest.raises(ModelError, match="not a GGUF"):
            await h.pull(LocalFile(name="mine", path=mine), replace=True)
        assert h.shelf.find("mine").path.read_bytes() == model


async def test_an_old_unfinished_download_is_deleted_by_the_next_pull(
    tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.models.library.pull.STALE", -1.0)
    async with house(tmp_path, model) as h:
        h.shelf.partial.mkdir(parents=True)
        (h.shelf.partial / "old.part").write_bytes(b"x")
        await h.pull()
        assert h.partials == []
