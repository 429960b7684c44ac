"""What a hub offers, and every fault of it in words."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from agentd.errors import ModelError, NotFound
from agentd.models.hub import explained, hub_offer, web_offer
from agentd.models.sources import HubFile, Source, WebFile
from tests.hub_house import SOURCE, house, tiny_model


@pytest.fixture
def model() -> bytes:
    return tiny_model()


async def test_an_offer_names_commit_size_and_hash(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        offer = await asyncio.to_thread(hub_offer, SOURCE, endpoint=h.hub.url)
        assert (offer.size, offer.sha256) == (len(model), hashlib.sha256(model).hexdigest())
        assert offer.revision == h.hub.revision("o/r") and offer.revision in offer.url
        assert offer.licence == "mit" and "hf_token" not in repr(offer)
        url = f"{h.hub.url}/o/r/resolve/main/small.gguf"
        other = await asyncio.to_thread(web_offer, WebFile(name="small", url=url))
        assert (other.size, other.sha256, other.revision, dict(other.headers)) == (len(model), "", "", {})


def test_a_bug_of_ours_is_not_blamed_on_the_hub() -> None:
    with pytest.raises(ZeroDivisionError), explained("the hub"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (HubFile(name="x", repo="o/none", file="x.gguf"), "no such model"),
        (HubFile(name="x", repo="o/r", file="x.gguf"), "has no file x.gguf; it has small.gguf"),
        (HubFile(name="x", repo="o/r", file="small.gguf", revision="v9"), "no such revision"),
        (HubFile(name="x", repo="o--o/r", file="x.gguf"), "no name of a repository"),
    ],
)
async def test_what_the_hub_does_not_have_is_told(tmp_path: Path, model: bytes, source: Source, what: str) -> None:
    async with house(tmp_path, model) as h:
        with pytest.raises(NotFound, match=what):
            await h.pull(source)


@pytest.mark.parametrize(("status", "what"), [(500, r"refused \(500\)"), (418, r"refused \(418\)")])
async def test_a_hub_that_refuses_is_told(tmp_path: Path, model: bytes, status: int, what: str) -> None:
    async with house(tmp_path, model) as h:
        h.hub.status = status
        with pytest.raises(ModelError, match=what):
            await h.pull()


async def test_a_model_behind_terms_is_told(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.status, h.hub.headers = 403, {"x-error-code": "GatedRepo"}
        with pytest.raises(ModelError, match="agree there, and set HF_TOKEN"):
            await h.pull()


@pytest.mark.parametrize("page", [b"<html>login</html>", b"[]", b'{"siblings": 5}'])
async def test_something_else_than_a_hub_is_told(tmp_path: Path, model: bytes, page: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.page = page
        with pytest.raises(ModelError, match=r"check HF_ENDPOINT|does not say"):
            await h.pull()


async def test_a_hub_that_is_down_is_told(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        pass
    with pytest.raises(ModelError, match=r"cannot be reached .*\): check the network and HF_ENDPOINT, then") as told:
        await h.pull()
    assert "kept" not in str(told.value)


async def test_the_hub_is_not_named_for_a_plain_url(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        source = WebFile(name="small", url=f"{h.hub.url}/o/r/resolve/main/small.gguf")
        h.hub.status = 404
        with pytest.raises(NotFound, match="has no such file; check the URL"):
            await h.pull(source)
    with pytest.raises(ModelError, match=r"cannot be reached .*\): check the network, then") as told:
        await h.pull(source)
    assert "kept" not in str(told.value)
    with pytest.raises(ModelError, match="does not answer as a web server does"), explained("the server"):
        raise ValueError


async def test_offline_mode_is_kept(tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    async with house(tmp_path, model) as h:
        with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
            await h.pull()
        assert h.hub.requests == []
