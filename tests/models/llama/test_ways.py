from __future__ import annotations

from pathlib import Path

import pytest

from agentd.models.llama import ways
from agentd.models.llama.ways import BY_NAME, PLAINEST, WAYS, allowed, rebuild_hint


def test_ways_go_from_everything_to_nothing() -> None:
    assert [way.name for way in WAYS] == [
        "gpu+flash+repack",
        "gpu+flash",
        "gpu+repack",
        "gpu",
        "flash+repack",
        "flash",
        "repack",
        "plain",
    ]
    assert WAYS[-1] == PLAINEST == BY_NAME["plain"]


def test_without_a_gpu_only_the_processor_is_tried() -> None:
    assert [way.name for way in allowed(gpu=False)] == ["flash+repack", "flash", "repack", "plain"]
    assert allowed(gpu=True) == WAYS


def test_what_is_missing_is_said_in_words() -> None:
    whole = allowed(gpu=False)[0]
    assert whole.without(whole) == ""
    assert BY_NAME["flash"].without(whole) == "without repacked weights and AMX"
    assert PLAINEST.without(WAYS[0]) == "without the GPU, flash attention, repacked weights and AMX"


def test_the_command_that_builds_llama_cpp_names_this_python_and_the_version_or_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Path(ways.__file__).parents[3]
    monkeypatch.setattr("sys.prefix", str(checkout / ".venv"))
    assert rebuild_hint() == f"make -C {checkout} llama"
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert "-m pip install --force-reinstall" in rebuild_hint()
    assert "llama-cpp-python==" in rebuild_hint()
