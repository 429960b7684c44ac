"""How much memory the process of a model may take: several times what it needs, and never more than there is."""

from __future__ import annotations

import resource
import sys

from agentd.models.llama import machine
from agentd.models.llama.files import Gguf, most_memory

BEGINNING = 1 << 30
"""Bytes before a model is loaded: for Python, its imports, and reading headers."""


class Memory:
    """The limit on the private memory of this process; it grows with each model that is loaded.

    With a model on a GPU there is no limit, because the GPU's libraries map more than they use.
    """

    def __init__(self) -> None:
        self._allowed: int | None = BEGINNING
        self._set()

    def allow(self, gguf: Gguf, *, context: int, besides: int = 0, gpu: bool) -> None:
        """Make room for this model, and for `besides` bytes of conversations that leave its cache."""
        if gpu or self._allowed is None:
            self._allowed = None
        else:
            self._allowed += most_memory(gguf, context=context) + besides
        self._set()

    def _set(self) -> None:
        if sys.platform != "linux":  # elsewhere the limit does not count what is mapped
            return
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [limit for limit in (self._allowed, machine.all_memory()) if limit is not None]
        if hard != resource.RLIM_INFINITY:
            limits.append(hard)
        soft = hard if self._allowed is None or not limits else min(limits)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
