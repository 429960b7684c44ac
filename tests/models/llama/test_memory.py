"""How much memory the process of a model may take, as the process itself reports it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentd.models.llama import files
from agentd.models.llama.machine import all_memory
from agentd.models.llama.memory import BEGINNING
from agentd.testing.gguf import chain, write_table_model

LIMITED = """
import resource, sys
from pathlib import Path
from agentd.models.llama import files
from agentd.models.llama.memory import Memory
memory = Memory()
said = [resource.getrlimit(resource.RLIMIT_DATA)[0]]
for _ in range(2):
    memory.allow(files.inspect(Path(sys.argv[1])), context=64, besides=1000, gpu=False)
    said.append(resource.getrlimit(resource.RLIMIT_DATA)[0])
memory.allow(files.inspect(Path(sys.argv[1])), context=64, gpu=True)
said.append(resource.getrlimit(resource.RLIMIT_DATA)[0])
print(*said)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")


def test_the_limit_grows_with_what_is_loaded_and_ends_with_a_gpu(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", "Hello"))
    said = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    one = files.most_memory(files.inspect(path), context=64) + 1000
    there = all_memory()
    assert there is not None
    expected = [min(there, BEGINNING + models * one) for models in range(3)]
    assert list(map(int, said.stdout.split())) == [*expected, -1]


def test_a_model_never_needs_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", "Hello"))
    gguf = files.inspect(path)
    assert files.most_memory(gguf, context=8192) > 2 * files.memory_of(gguf, context=8192)
