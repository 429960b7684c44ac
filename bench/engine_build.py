"""llama-server of the same source as the installed llama-cpp-python, built once and kept."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

NAME = "llama-cpp-python"
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)


def llama_server() -> Path:
    """Its path; builds it where that was not done before, which takes minutes and needs cmake and a compiler."""
    version = importlib.metadata.version(NAME)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentd-bench"
    built = cache / f"llama-server-{version}" / "bin" / "llama-server"
    if not built.exists():
        missing = [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]
        if missing:
            raise SystemExit(f"llama-server cannot be built without {missing[0]}; give a built one by --llama-server.")
        print(f"building llama-server {version} into {built.parent.parent}; this takes some minutes", flush=True)
        with tempfile.TemporaryDirectory() as place:
            _build(_source(Path(place), version), built.parent.parent)
    return built


def _source(place: Path, version: str) -> Path:
    """The source distribution, unpacked."""
    command = (sys.executable, "-m", "pip", "download", f"{NAME}=={version}")
    subprocess.run([*command, "--no-deps", "--no-binary", ":all:", "-d", str(place)], check=True)
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(place, filter="data")
    (unpacked,) = (path for path in place.iterdir() if path.is_dir())
    return unpacked / "vendor" / "llama.cpp"


def _build(source: Path, target: Path) -> None:
    quiet = ("nice", "-n", "10") if shutil.which("nice") else ()
    subprocess.run([*quiet, "cmake", "-S", str(source), "-B", str(target), *FLAGS], check=True)
    jobs = str(os.cpu_count() or 1)
    subprocess.run([*quiet, "cmake", "--build", str(target), "--target", "llama-server", "-j", jobs], check=True)
