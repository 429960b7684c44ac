"""A separate process asks llama.cpp whether it finds a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentd.models import gpu
from agentd.models.llama.native import finds_gpu

pytestmark = pytest.mark.native


def test_what_is_said_is_what_llama_cpp_finds() -> None:
    assert gpu.gpu_found() is finds_gpu()


@pytest.mark.parametrize(
    ("does", "said"),
    [("import os; os.abort()", None), ("import no_such_module", None), ("raise SystemExit(0)", True)],
)
def test_a_crash_is_told_as_not_known(
    does: str, said: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_instead(does, tmp_path, monkeypatch)
    assert gpu.gpu_found() is said


def test_one_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SECONDS", 0.2)
    ask_instead("import threading; threading.Event().wait()", tmp_path, monkeypatch)
    assert gpu.gpu_found() is None


def ask_instead(does: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "asked_instead.py").write_text(does)
    monkeypatch.setenv("PYTHONPATH", f"{directory}{os.pathsep}{Path(__file__).parents[2]}")
    monkeypatch.setattr(gpu, "MODULE", "asked_instead")
