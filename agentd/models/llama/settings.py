"""What is decided before a model is loaded: which file it is, and how llama.cpp runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

SPILL_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSettings:
    """What `[model]` of the configuration says about a model in a file."""

    context: int = 8192
    """Tokens of prompt and answer. The conversations that run at once share them; one that runs alone may use all."""
    threads: int | None = None
    """None means what `machine.free_threads` says."""
    gpu_layers: int | None = None
    """None means all layers if llama.cpp finds a GPU, otherwise 0."""
    sequences: int = 16
    """Conversations that run at once; further ones wait."""
    spill_bytes: int = SPILL_BYTES
    """Memory for conversations that have to leave the cache."""
    guess: bool = True
    """Check several guessed tokens at once when an answer quotes; this changes how fast it comes, not what it says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """A model file, and what is known about it before it is loaded."""

    path: Path
    checks: Path | None = None
    """Where findings about models on this machine are kept (`checks`); None keeps none."""
    way: str = ""
    """The only way in which llama.cpp may compute (`ways`); "" means the first that works here."""
    why: str = ""
    """What the model did in other ways."""

    def absolute(self) -> ModelFile:
        """The same file for a process with another working directory."""
        checks = None if self.checks is None else self.checks.absolute()
        return replace(self, path=self.path.absolute(), checks=checks)
