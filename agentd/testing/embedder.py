"""An `Embedder` without weights: texts that share words are near each other."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class WordEmbedder:
    """Each word counts in one of `dimension` components; `asked` lists the texts that it got."""

    def __init__(self, *, dimension: int = 64) -> None:
        self.name = f"words-{dimension}"
        self._dimension = dimension
        self.asked: list[tuple[tuple[str, ...], bool]] = []

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        self.asked.append((tuple(texts), query))
        counts = np.zeros((len(texts), self._dimension), np.float32)
        for row, text in zip(counts, texts, strict=True):
            for word in text.lower().split():
                row[zlib.crc32(word.encode()) % self._dimension] += 1
        lengths = np.linalg.norm(counts, axis=1, keepdims=True).astype(np.float32)
        counts /= np.maximum(lengths, np.float32(1e-12))
        return counts
