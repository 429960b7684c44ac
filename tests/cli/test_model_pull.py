"""`agentd model pull` against a local hub."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentd.errors import ModelError, UsageError
from agentd.models.library.shelf import Shelf
from agentd.testing.hub import Hub
from tests.daemons import processes_of
from tests.hub_house import NAME, tiny_model


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str


async def pull(state_dir: Path, model: str, *arguments: str, **variables: str) -> Done:
    """The real command, with these variables of the environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentd", "model", "pull", model, "--state-dir", str(state_dir), *arguments),
        env={**os.environ, "AGENTD_CONFIG": "/dev/null", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Done(code=await process.wait(), out=out.decode(), err=err.decode())


async def test_what_was_pulled_is_told_with_its_origin_and_hash(tmp_path: Path) -> None:
    async with Hub({NAME: tiny_model()}) as hub:
        done = await pull(tmp_path, NAME, HF_ENDPOINT=hub.url)
        path = tmp_path / "models" / "small.gguf"
        assert done.out.splitlines() == [
            f"small is here: {path} (3 MB)",
            f"from {NAME} at revision {hub.revision('o/r')}",
            f"sha256 {hashlib.sha256(tiny_model()).hexdigest()}, licence mit",
            "`agentd model use small` chooses it",
        ]
        assert (done.code, done.err) == (0, ""), "no progress where nobody looks"
        done = await pull(tmp_path, NAME, "--use", HF_ENDPOINT=hub.url)
        assert "nothing was downloaded" in done.out and "small is chosen" in done.out
        assert Shelf(tmp_path).chosen() == path


async def test_what_differs_is_told_and_replaced_only_when_asked(tmp_path: Path) -> None:
    async with Hub({NAME: tiny_model()}) as hub:
        await pull(tmp_path, NAME, HF_ENDPOINT=hub.url)
        hub.files[NAME] = tiny_model() + b"more"
        done = await pull(tmp_path, NAME, HF_ENDPOINT=hub.url)
        assert done.code == UsageError.exit_code and "no longer" in done.err
        assert (await pull(tmp_path, NAME, "--name", "newer", HF_ENDPOINT=hub.url)).code == 0
        assert (await pull(tmp_path, NAME, "--replace", HF_ENDPOINT=hub.url)).code == 0
        assert [model.size for model in Shelf(tmp_path).models()] == [len(hub.files[NAME])] * 2


async def test_a_pull_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL leaves nothing behind that a later pull would mistake for a model."""
    async with Hub({NAME: tiny_model()}) as hub:
        hub.stall_after = [2_000_000]
        first = asyncio.create_task(pull(tmp_path, NAME, HF_ENDPOINT=hub.url), name="pull")
        async with asyncio.timeout(30):
            while not _bytes_on_disk(tmp_path):  # noqa: ASYNC110 - another process tells nothing
                await asyncio.sleep(0.02)
        for pid in processes_of(tmp_path):
            os.kill(pid, signal.SIGKILL)
        assert (await first).code == -signal.SIGKILL
        kept = _bytes_on_disk(tmp_path)
        assert Shelf(tmp_path).models() == [] and kept > 0
        assert (await pull(tmp_path, NAME, HF_ENDPOINT=hub.url)).code == 0
        assert hub.downloads[-1].headers["range"] == f"bytes={kept}-"
        assert (tmp_path / "models" / "small.gguf").read_bytes() == tiny_model()


def _bytes_on_disk(state_dir: Path) -> int:
    return sum(path.stat().st_size for path in Shelf(state_dir).partial.glob("*.part"))


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [("HF_ENDPOINT", "http://127.0.0.1:9", "http://127.0.0.1:9 cannot be reached"), ("HF_HUB_OFFLINE", "1", "offline")],
)
async def test_the_environment_of_the_hub_is_honoured(tmp_path: Path, variable: str, value: str, words: str) -> None:
    done = await pull(tmp_path, "qwen3-0.6b", **{variable: value})
    assert done.code == ModelError.exit_code and words in done.err.lower()
    assert "Traceback" not in done.err and len(done.err.splitlines()) == 1
