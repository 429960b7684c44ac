from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from agentd.delivery.backoff import Backoff
from agentd.errors import ModelError
from agentd.models.llama import embedder as embedder_module
from agentd.models.llama.embedder import LlamaEmbedder, Prefixes
from agentd.models.llama.model import LlamaModel
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.supervisor import Patience
from agentd.ports.generation import Message, ModelRequest, Sampling, TextDelta, TextPart
from agentd.ports.models import Embedder
from agentd.testing.gguf import chain, write_table_model

QUICK = Patience(restart=Backoff(first=0.001, longest=1.0))


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A model whose vectors count the letters of a text."""
    write_table_model(tmp_path / "bag.gguf", chain("a", "b"))
    return tmp_path / "bag.gguf"


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    write_table_model(tmp_path / "endless.gguf", {"\n": "la", "la": "la"}, context=65536)
    return tmp_path / "endless.gguf"


async def test_a_file_is_an_embedder(bag: Path) -> None:
    async with LlamaEmbedder(bag, threads=1) as found:
        embedder: Embedder = found
        vectors = await embedder.embed(["ab", "ba", "cd"])
        assert vectors.shape == (3, 512) and vectors.dtype == np.float32
        assert np.allclose(vectors @ vectors.T, [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-3)
        assert (await embedder.embed([])).shape[0] == 0


async def test_more_texts_than_one_message_takes_keep_their_order(bag: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder_module, "MOST_TEXTS", 2)
    async with LlamaEmbedder(bag, threads=1) as embedder:
        letters = "abcde"
        vectors = await embedder.embed(letters)
        assert np.allclose(vectors @ vectors.T, np.eye(5), atol=1e-3)


async def test_questions_and_texts_have_prefixes_of_their_own_and_the_name_tells_them(bag: Path) -> None:
    async with LlamaEmbedder(bag, threads=1, prefixes=Prefixes(query="xx", text="yy")) as embedder:
        query, text = await embedder.embed(["z"], query=True), await embedder.embed(["z"])
        plain = LlamaEmbedder(bag, threads=1)
        async with plain:
            assert np.allclose(query[0], (await plain.embed(["xxz"]))[0], atol=1e-3)
            assert np.allclose(text[0], (await plain.embed(["yyz"]))[0], atol=1e-3)
        assert len({embedder.name, plain.name, LlamaEmbedder(bag, prefixes=Prefixes(query="xx")).name}) == 3


async def test_beside_a_chat_model_it_lives_in_its_process_and_answers_go_on(bag: Path, endless: Path) -> None:
    chat = LlamaModel(ModelFile(path=endless), EngineSettings(threads=1), patience=QUICK)
    async with chat as model, LlamaEmbedder(bag, beside=model) as embedder:
        request = ModelRequest(
            messages=(Message(role="user", parts=(TextPart(text="Hi"),)),),
            session_id="s",
            turn_id="t",
            sampling=Sampling(temperature=0, max_tokens=5000),
        )
        async with aclosing(model.stream(request)) as stream:
            assert isinstance(await anext(stream), TextDelta)
            vectors = await asyncio.gather(*(embedder.embed(["ab", "cd"], query=query) for query in (True, False)))
            assert np.allclose(vectors[0], vectors[1], atol=1e-3)
            assert isinstance(await anext(stream), TextDelta)
        assert children() == 1


def children() -> int:
    """Our processes that run a model."""
    tasks = Path("/proc/self/task")
    pids = {pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
    return sum("models.llama.child" in Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)


async def test_a_child_that_dies_is_replaced_and_the_texts_are_asked_for_again(bag: Path) -> None:
    async with LlamaEmbedder(bag, threads=1, patience=QUICK) as embedder:
        expected = await embedder.embed(["ab"])
        pid = (await embedder._child()).pid
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.create_task(embedder.embed(["ab"]), name="texts")
        await asyncio.sleep(0)  # the request is sent
        os.kill(pid, signal.SIGKILL)
        assert np.array_equal(await asked, expected)


async def test_what_is_wrong_with_a_file_is_said_in_words(tmp_path: Path, bag: Path) -> None:
    (tmp_path / "web.gguf").write_text("<html>")
    for name, words in (("none.gguf", "no model file"), ("web.gguf", "a web page")):
        async with LlamaEmbedder(tmp_path / name) as embedder:
            with pytest.raises(ModelError, match=words):
                await embedder.embed(["a"])


async def test_half_a_character_does_no_harm(bag: Path) -> None:
    async with LlamaEmbedder(bag, threads=1) as embedder:
        assert np.isfinite(await embedder.embed(["a\ud800b"])).all()
