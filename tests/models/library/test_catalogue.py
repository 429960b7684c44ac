"""The catalogue is complete, and recommends a model that fits the machine."""

from __future__ import annotations

import re

import pytest

from agentd.models.library.catalogue import catalogue, recommended
from agentd.models.library.sources import HubFile, check_name, read_source

GB = 1_000_000_000


def test_every_entry_says_what_a_person_wants_to_know() -> None:
    assert len(catalogue()) >= 5
    for listed in catalogue():
        check_name(listed.name)
        assert isinstance(read_source(f"{listed.repo}/{listed.file}", ()), HubFile), listed.name
        assert listed.licence and listed.why and listed.sources, listed.name
        assert all(re.match(r"https://", source) for source in listed.sources), listed.name
        assert listed.size < listed.memory(8192) < 2 * listed.size + 3 * GB, listed.name


@pytest.mark.parametrize(
    ("memory", "threads", "name"),
    [
        (64 * GB, 16, "granite-4.1-8b"),
        (64 * GB, 4, "granite-4.1-3b"),
        (16 * GB, 2, "qwen3-1.7b"),
        (16 * GB, 1, "qwen3-0.6b"),
        (4 * GB, 16, "granite-4.1-3b"),
        (3 * GB, 16, "qwen3-0.6b"),
        (0, 16, "qwen3-0.6b"),
    ],
)
def test_the_best_that_fits_is_recommended(memory: int, threads: int, name: str) -> None:
    assert recommended(available=memory, threads=threads, context=8192).name == name


def test_what_was_measured_comes_before_the_count_of_cores() -> None:
    def best(*quick: str) -> str:
        return recommended(available=64 * GB, threads=2, context=8192, quick=lambda listed: listed.name in quick).name

    assert best("qwen3-0.6b", "qwen3-8b") == "qwen3-8b"
    assert best() == "qwen3-0.6b"


def test_a_longer_context_needs_more_memory_and_unknown_memory_is_no_limit() -> None:
    assert recommended(available=4 * GB, threads=4, context=30_000).name == "qwen3-0.6b"
    assert recommended(available=None, threads=8, context=8192).name == "granite-4.1-8b"


def test_a_model_takes_no_memory_for_more_context_than_it_has() -> None:
    for listed in catalogue():
        assert listed.memory(2**40) == listed.memory(listed.context) > listed.memory(listed.context - 1)
