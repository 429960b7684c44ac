"""How llama.cpp was compiled: for every processor of its family, or for this machine alone."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.testing.gguf import chain, write_table_model

ROOT = Path(__file__).parents[2]
X86 = platform.machine() in ("x86_64", "AMD64")
LOAD = """
import sys
from pathlib import Path
from agentd.errors import ModelError
from agentd.models.llama.driver import Driver
try:
    Driver(Path(sys.argv[1]), context=256, threads=1, gpu_layers=0, sequences=1)
except ModelError as error:
    sys.exit(str(error))
"""


def libraries() -> Path:
    """Where the installed package has them."""
    package = importlib.util.find_spec("llama_cpp")
    assert package is not None and package.submodule_search_locations
    return Path(package.submodule_search_locations[0], "lib")


def generations(place: Path) -> set[str]:
    return {path.stem.removeprefix("libggml-cpu-") for path in place.glob("libggml-cpu-*.so")}


def wanted() -> set[str]:
    """What llama.cmake keeps for a processor of this family."""
    (kept,) = re.findall(r"^set\(generations\n(.*?)\)", (ROOT / "llama.cmake").read_text(), re.DOTALL | re.MULTILINE)
    names = re.sub("#.*", "", kept).split()
    return {name for name in names if name.startswith("armv") != X86}


def load(place: Path, model: Path) -> str:
    """What a process says that loads a model with the libraries of this directory; empty if all is well."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", LOAD, str(model)],
        env={**os.environ, "LLAMA_CPP_LIB_PATH": str(place)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stderr if ran.returncode else ""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_table_model(tmp_path / "tiny.gguf", chain("a", "b"))
    return tmp_path / "tiny.gguf"


def test_there_are_kernels_for_all_generations_or_for_this_machine_alone() -> None:
    assert generations(libraries()) in (set(), wanted())


def test_the_oldest_kernels_are_enough(tmp_path: Path, model: Path) -> None:
    shutil.copytree(libraries(), tmp_path / "lib")
    for generation in generations(tmp_path / "lib") - {"sse42", "armv8.0_1"}:
        (tmp_path / "lib" / f"libggml-cpu-{generation}.so").unlink()
    assert load(tmp_path / "lib", model) == ""


def test_a_processor_that_none_are_for_is_told_so(tmp_path: Path, model: Path) -> None:
    shutil.copytree(libraries(), tmp_path / "lib")
    found = [path for path in (tmp_path / "lib").glob("libggml-cpu-*.so")]
    for path in found:
        path.unlink()
    said = load(tmp_path / "lib", model)
    assert ("no code that" in said) == bool(found)
