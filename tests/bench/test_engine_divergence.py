from __future__ import annotations

from pathlib import Path

from agentd.testing.gguf import CHATML, write_random_model
from bench.engine_divergence import divergence


def test_a_model_whose_sums_are_exact_never_diverges(tmp_path: Path) -> None:
    """Also: what is read in wide batches is compared place by place with what is read alone."""
    write_random_model(tmp_path / "exact.gguf", chat_template=CHATML)
    assert divergence(tmp_path / "exact.gguf", "What is it? " * 15, threads=1) == 0.0
