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
"""What can be switched off, by the name that it has in the name of a way, in words for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """What of llama.cpp is used: layers on a GPU, flash attention where a model can have it, and its extra buffers.

    The extra buffers hold weights in another order than the file: repacked for the processor's wide instructions, or
    for AMX.
    """

    gpu: bool
    flash: bool
    repack: bool

    @property
    def name(self) -> str:
        """What is on, joined by +; `plain` if nothing is."""
        return "+".join(part for part in _PARTS if getattr(self, part)) or "plain"

    def without(self, whole: Way) -> str:
        """In words what `whole` has and this has not, "" if that is nothing: "without flash attention"."""
        missing = [words for part, words in _PARTS.items() if getattr(whole, part) and not getattr(self, part)]
        return f"without {', '.join(missing)}" if missing else ""


WAYS = tuple(
    Way(gpu=gpu, flash=flash, repack=repack) for gpu, flash, repack in itertools.product((True, False), repeat=3)
)
PLAINEST = WAYS[-1]
BY_NAME = {way.name: way for way in WAYS}


def allowed(*, gpu: bool) -> tuple[Way, ...]:
    """The ways from fastest to plainest on a machine that has a GPU for llama.cpp, or has not."""
    return tuple(way for way in WAYS if gpu or not way.gpu)


def rebuild_hint() -> str:
    """The command that compiles llama.cpp on this machine; `import llama_cpp` may be what crashes."""
    checkout = Path(__file__).parents[3]
    if (checkout / "llama.cmake").exists() and Path(sys.prefix) == checkout / ".venv":
        return f"make -C {shlex.quote(str(checkout))} llama"
    pip = f"{shlex.quote(sys.executable)} -m pip install --force-reinstall --no-deps --no-cache-dir"
    return f"{pip} --no-binary llama-cpp-python llama-cpp-python=={importlib.metadata.version('llama-cpp-python')}"
