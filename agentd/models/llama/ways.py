"""The ways in which llama.cpp can compute, from the fastest to the plainest; on some machines not all of them work."""

from __future__ import annotations

import importlib.metadata
import itertools
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

_PARTS = {
    "gpu": "the GPU",
    "flash": "flash attention",
    "repack": "repacked weights and AMX",
}
"""What can be switched off: its part of the name of a way -> words for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """What llama.cpp uses: a GPU, flash attention if the model allows it, and its extra buffers.

    The extra buffers hold the weights in another order than the file: repacked for the processor's wide instructions,
    or for AMX.
    """

    gpu: bool
    flash: bool
    repack: bool

    @property
    def name(self) -> str:
        """What is switched on, joined by +; `plain` if nothing is."""
        return "+".join(part for part in _PARTS if getattr(self, part)) or "plain"

    def without(self, fuller: Way) -> str:
        """What `fuller` has and this has not, as in "without flash attention"; "" if that is nothing."""
        missing = [words for part, words in _PARTS.items() if getattr(fuller, part) and not getattr(self, part)]
        return f"without {', '.join(missing)}" if missing else ""


WAYS = tuple(
    Way(gpu=gpu, flash=flash, repack=repack) for gpu, flash, repack in itertools.product((True, False), repeat=3)
)
PLAINEST = WAYS[-1]
BY_NAME = {way.name: way for way in WAYS}


def allowed(*, gpu: bool) -> tuple[Way, ...]:
    """The ways from the fastest to the plainest, on a machine with or without a GPU."""
    return tuple(way for way in WAYS if gpu or not way.gpu)


def rebuild_hint() -> str:
    """The command that compiles llama.cpp on this machine. It does not import llama_cpp, because that may crash."""
    checkout = Path(__file__).parents[3]
    if (checkout / "llama.cmake").exists() and Path(sys.prefix) == checkout / ".venv":
        return f"make -C {shlex.quote(str(checkout))} llama"
    pip = f"{shlex.quote(sys.executable)} -m pip install --force-reinstall --no-deps --no-cache-dir"
    return f"{pip} --no-binary llama-cpp-python llama-cpp-python=={importlib.metadata.version('llama-cpp-python')}"
