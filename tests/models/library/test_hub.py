"""What a hub offers, and an explanation of each of its faults."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest

from agentd.errors import ModelError, NotFound, UsageError
from agentd.models.library.hub import MOST_BYTES, hub_offer, web_offer
from agentd.models.library.sources import HubFile, Source, WebFile
from agentd.testing.http import HttpServer, Reply, Request
from tests.hub_house import SOURCE, house, tiny_model


@pytest.fixture
def model() -> bytes:
    return tiny_model()


async def test_an_offer_names_commit_size_and_hash(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        offer = await asyncio.to_thread(hub_offer, SOURCE, endpoint=h.hub.url)
        assert (offer.size, offer.sha256) == (len(model), hashlib.sha256(model).hexdigest())
        assert offer.revision == h.hub.revision("o/r") and offer.revision in offer.url
        assert offer.licence == "mit" and "hf_token" not in repr(offer) and offer.of_hub
        url = f"{h.hub.url}/o/r/resolve/main/small.gguf"
        other = await asyncio.to_thread(web_offer, WebFile(name="small", url=url))
        assert (other.size, other.sha256, other.revision, dict(other.headers)) == (len(model), "", "", {})


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (HubFile(name="x", repo="o/none", file="x.gguf"), "no such model"),
        (HubFile(name="x", repo="o/r", file="x.gguf"), "has no file x.gguf; it has small.gguf"),
        (HubFile(name="x", repo="o/r", file="small.gguf", revision="v9"), "no such revision"),
        *(
            (HubFile(name="x", repo=repo, file="x.gguf"), "OWNER/REPOSITORY")
            for repo in ("o--o/r", "../..", "o/..", "o/r.git", "o/-r", "o/" + "r" * 200)
        ),
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
        with pytest.raises(ModelError, match=r"accept .*HF_TOKEN"):
            await h.pull()


@pytest.mark.parametrize("page", [b"<html>login</html>", b"[]", b"[" * 1_000_000, b"9" * 1_000_000, b"\xff", b""])
async def test_something_else_than_a_hub_is_told(tmp_path: Path, model: bytes, page: bytes) -> None:
    async with house(tmp_path, model) as h:
        h.hub.page = page
        with pytest.raises(ModelError, match=r"like a hub; .*HF_ENDPOINT"):
            await h.pull()


@pytest.mark.parametrize(
    "info",
    [
        {"siblings": 5},
        {"siblings": [5, None, {"rfilename": 3}, {"rfilename": ["small.gguf"]}]},
        *({"sha": sha} for sha in (None, "", 3, "../../x", "a" * 100, "\x1b[2J")),
        *(
            {"siblings": [{"rfilename": "small.gguf", "size": size}]}
            for size in (None, 0, -1, True, 1.5, 1 << 60, 10**30, "many", [1])
        ),
    ],
)
async def test_absurd_figures_of_a_hub_are_told(tmp_path: Path, model: bytes, info: dict[str, Any]) -> None:
    async with house(tmp_path, model) as h:
        h.hub.info = info
        with pytest.raises((ModelError, NotFound), match=r"how large|has no file"):
            await h.pull()
        assert h.hub.downloads == [] and h.partials == []


async def test_a_reply_of_a_hub_has_a_size_packed_or_not(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        for page, headers in (
            (b" " * (MOST_BYTES + 1), {}),
            (gzip.compress(b" " * (16 * MOST_BYTES)), {"content-encoding": "gzip"}),
        ):
            h.hub.page, h.hub.page_headers = page, headers
            with pytest.raises(ModelError, match=r"sends more than 4,194,304 bytes; check HF_ENDPOINT"):
                await h.pull()


async def test_an_endless_reply_of_a_hub_is_given_up(
    tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip(request: Request, reply: Reply) -> None:
        await reply.head(200, {})
        while not reply.left:
            await reply.write(b" ")
            await asyncio.sleep(0.01)

    async with house(tmp_path, model), HttpServer(drip) as endless:
        monkeypatch.setattr("agentd.models.library.hub.SECONDS", 0.3)
        with pytest.raises(ModelError, match=r" 0\.3 s"):
            await asyncio.to_thread(hub_offer, SOURCE, endpoint=endless.url)


async def test_names_of_a_hub_are_shown_clean_and_short(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        names = ["a\x1b]0;title\x07b.gguf", "c" * 10_000 + ".gguf", *(f"{n}.gguf" for n in range(10_000))]
        h.hub.info = {"siblings": [{"rfilename": name} for name in names]}
        with pytest.raises(NotFound) as told:
            await h.pull()
        text = str(told.value)
        assert "it has ab.gguf, ccc" in text and "\x1b" not in text and len(text) < 1000
        h.hub.info = {"tags": [5, "license:" + "x\x1b[2J" + "y" * 5000]}
        offer = await asyncio.to_thread(hub_offer, SOURCE, endpoint=h.hub.url)
        assert offer.licence.startswith("xyy") and len(offer.licence) <= 120


async def test_a_token_that_no_header_can_carry_is_told_without_it(
    tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, model) as h:
        monkeypatch.setattr("agentd.models.library.hub.get_token", lambda: "hf_SEC\u200bRET")
        with pytest.raises(UsageError, match=r"HF_TOKEN .* place 7 ") as told:
            await h.pull()
        assert "SEC" not in str(told.value) and h.hub.requests == []
        monkeypatch.setattr("agentd.models.library.hub.get_token", lambda: " hf_token\r\n")
        await h.pull()
        assert h.hub.requests[0].headers["authorization"] == "Bearer hf_token"


async def test_a_token_that_the_hub_refuses_is_told(
    tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, model) as h:
        h.hub.status = 401
        with pytest.raises(ModelError, match=r"refused the token \(401\); set HF_TOKEN"):
            await h.pull()
        monkeypatch.setattr("agentd.models.library.hub.get_token", lambda: None)
        with pytest.raises(NotFound, match="HF_TOKEN"):
            await h.pull()


async def test_a_hub_that_is_down_is_told(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        pass
    with pytest.raises(ModelError, match=r"cannot be reached .*\); check the network and HF_ENDPOINT, then") as told:
        await h.pull()
    assert "kept" not in str(told.value)


async def test_the_hub_is_not_named_for_a_plain_url(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        source = WebFile(name="small", url=f"{h.hub.url}/o/r/resolve/main/small.gguf")
        h.hub.status = 404
        with pytest.raises(NotFound, match=r"no such file; .* URL"):
            await h.pull(source)
    with pytest.raises(ModelError, match=r"cannot be reached .*\); check the network, then") as told:
        await h.pull(source)
    assert "kept" not in str(told.value)


async def test_offline_mode_is_kept(tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    async with house(tmp_path, model) as h:
        with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
            await h.pull()
        assert h.hub.requests == []


async def test_what_a_web_server_says_of_a_size_must_be_one(tmp_path: Path, model: bytes) -> None:
    async with house(tmp_path, model) as h:
        for length in ("0", "-5", "9" * 30, "many"):

            async def lying(request: Request, reply: Reply, length: str = length) -> None:
                await reply.send(200, b"", {"x-linked-size": length})

            async with HttpServer(lying) as server:
                source = WebFile(name="m", url=f"{server.url}/m.gguf?key=SECRET")
                with pytest.raises(ModelError, match="how large") as told:
                    await h.pull(source)
                assert "SECRET" not in str(told.value)


def test_what_the_library_of_the_hub_would_log_is_off() -> None:
    for name in ("huggingface_hub", "huggingface_hub.file_download"):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL), name
