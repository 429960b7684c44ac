from __future__ import annotations

import ctypes
import faulthandler
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentd.errors import ModelError
from agentd.models.llama import files, selftest
from agentd.models.llama.driver import Driver
from agentd.models.llama.native import native
from agentd.models.llama.sampler import Sampler

pytestmark = pytest.mark.native


@pytest.fixture(autouse=True)
def unasked() -> Iterator[None]:
    selftest.check.cache_clear()
    yield
    selftest.check.cache_clear()


def test_the_installed_version_is_as_it_must_be() -> None:
    selftest.check()


def test_it_is_asked_once_in_a_process() -> None:
    selftest.check()
    start = time.perf_counter()
    selftest.check()
    assert time.perf_counter() - start < 0.01


def test_its_model_is_a_whole_small_file(tmp_path: Path) -> None:
    path = tmp_path / "trial.gguf"
    path.write_bytes(selftest._Weights().file())
    assert path.stat().st_size < 200_000
    assert files.inspect(path).architecture == "llama"


def broken_logits(self: Driver, span: int, ahead: int = 0) -> Any:
    return np.zeros(self.vocabulary.size, "float32")


def crash(*arguments: object) -> int:
    faulthandler.disable()
    return int(ctypes.memset(1, 0, 1))


def nothing(*arguments: object) -> None:
    """Does not do what it should."""


BREAKS = {
    "wrong numbers": (Driver, "logits", broken_logits, "a batch of two sequences gives wrong numbers"),
    "a cut that cuts nothing": (Driver, "keep", lambda *_: True, "a sequence that was cut"),
    "a copy that copies nothing": (Driver, "copy", nothing, "a copied beginning"),
    "a copy of everything": (
        Driver,
        "copy",
        lambda self, source, target, _: native.llama_memory_seq_cp(self._memory, source, target, 0, -1),
        "a copied beginning",
    ),
    "a state that restores nothing": (Driver, "restore", lambda *_: True, "a sequence that was restored"),
    "other properties": (Driver, "facts", lambda _: (512, 3, 1), "other properties than were asked for"),
    "a crash": (Driver, "restore", crash, "killed by SIGSEGV"),
    "a sampler with other arguments": (
        Sampler,
        "sample",
        lambda *_: 7,
        "the likeliest token is not the one that is chosen",
    ),
    "a grammar that binds nothing": (Sampler, "constrain", nothing, "a grammar does not bind"),
}


@pytest.mark.parametrize(("owner", "name", "broken", "words"), BREAKS.values(), ids=BREAKS.keys())
def test_what_has_changed_is_named_with_the_version_that_would_do(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, broken: object, words: str
) -> None:
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(ModelError, match=rf'{words}.*pip install "llama-cpp-python=='):
        selftest.check()
