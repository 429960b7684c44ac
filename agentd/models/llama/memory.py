"""How much memory the process of a model may take: what it needs several times, and never more than there is."""

from __future__ import annotations

import resource
import sys

from agentd.models.llama import machine
from agentd.models.llama.files import Gguf, most_memory

BEGINNING = 1 << 30
"""Bytes before anything is loaded: for Python, for what it imports, and for reading headers."""


class Memory:
    """The limit on what this process has for itself; it grows with each model that is loaded.

    A model on a GPU has none: the GPU's libraries map more than they use.
    """

    def __init__(self) -> None:
        self._allowed: int | None = BEGINNING
        self._set()

    def allow(self, gguf: Gguf, *, context: int, besides: int = 0, gpu: bool) -> None:
        """This model will be loaded, with `besides` bytes for conversations that leave its cache."""
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
