"""Builds llama-server once, from the source of the installed llama-cpp-python, and keeps it.

It loads the kernels of the installed package, so that both compute alike. If the package was compiled for this machine
alone, so is llama-server.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
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
WITHOUT_KERNELS = ("-DGGML_NATIVE=OFF", "-DGGML_BACKEND_DL=ON", "-DGGML_CPU=OFF")


def llama_server() -> Path:
    """The path of llama-server; if necessary, builds it, which takes minutes and needs cmake and a compiler."""
    version = importlib.metadata.version(NAME)
    kernels = _kernels()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentd-bench"
    target = cache / f"llama-server-{version}{'' if kernels else '-native'}"
    built = target / "bin" / "llama-server"
    if not built.exists():
        missing = [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]
        if missing:
            raise SystemExit(
                f"llama-server cannot be built without {missing[0]}; name a built one with --llama-server."
            )
        print(f"building llama-server {version} into {target}; this takes some minutes", flush=True)
        with tempfile.TemporaryDirectory() as place:
            _build(_source(Path(place), version), target, WITHOUT_KERNELS if kernels else ())
    for kernel in kernels:  # it looks beside itself
        (built.parent / kernel.name).unlink(missing_ok=True)
        (built.parent / kernel.name).symlink_to(kernel)
    return built


def _kernels() -> list[Path]:
    """The kernels of the installed package; none if it was compiled for this machine alone."""
    package = importlib.util.find_spec("llama_cpp")
    places = package.submodule_search_locations if package is not None else None
    return [kernel for place in places or () for kernel in sorted(Path(place, "lib").glob("libggml-cpu-*.so"))]


def _source(place: Path, version: str) -> Path:
    """The source distribution, unpacked."""
    command = (sys.executable, "-m", "pip", "download", f"{NAME}=={version}")
    subprocess.run([*command, "--no-deps", "--no-binary", ":all:", "-d", str(place)], check=True)
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(place, filter="data")
    (unpacked,) = (path for path in place.iterdir() if path.is_dir())
    return unpacked / "vendor" / "llama.cpp"


def _build(source: Path, target: Path, flags: Sequence[str]) -> None:
    quiet = ("nice", "-n", "10") if shutil.which("nice") else ()
    subprocess.run([*quiet, "cmake", "-S", str(source), "-B", str(target), *FLAGS, *flags], check=True)
    jobs = str(os.cpu_count() or 1)
    subprocess.run([*quiet, "cmake", "--build", str(target), "--target", "llama-server", "-j", jobs], check=True)
