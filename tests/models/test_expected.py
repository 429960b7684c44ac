"""The speeds of models on this machine: measured if they ran here, otherwise estimated by size."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.models.expected import KIND, Expected, of_model, of_size, ran_here
from agentd.models.llama.checks import NAME, Checks, of_file
from agentd.ports.models import Pace


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path / NAME)


def put(checks: Checks, about: str, read: object, write: object) -> None:
    checks.put(KIND, about, {"read": read, "write": write})


def test_the_newest_speeds_of_each_file_count(checks: Checks) -> None:
    put(checks, "a b.gguf 1000 77 1 threads", 50, 5)
    put(checks, "c.gguf 4000 78 2 threads", 20, 2.5)
    put(checks, "a b.gguf 1000 77 2 threads", 100, 11)
    checks.put("way", "a b.gguf 1000 77 2 threads", {"read": 1, "write": 1})
    assert [(one.about, one.size, one.pace) for one in ran_here(checks)] == [
        ("a b.gguf 1000 77", 1000, Pace(read=100.0, write=11.0)),
        ("c.gguf 4000 78", 4000, Pace(read=20.0, write=2.5)),
    ]


@pytest.mark.parametrize(
    ("about", "read", "write"),
    [
        ("a.gguf", 1, 1),
        ("a.gguf x 7 2 threads", 1, 1),
        ("a.gguf 9 7 2 threads", "1", 1),
        ("a.gguf 9 7 2 threads", 1, -1),
    ],
)
def test_what_is_no_speed_of_a_file_is_left_out(checks: Checks, about: str, read: object, write: object) -> None:
    put(checks, about, read, write)
    assert ran_here(checks) == []


def test_a_model_that_ran_has_its_own_speed_and_another_one_is_reckoned_by_the_nearest_size(
    checks: Checks, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"x" * 2000)
    put(checks, f"{of_file(mine)} 2 threads", 60, 6)
    put(checks, "large.gguf 90000 78 2 threads", 2, 1)
    ran = ran_here(checks)
    assert of_model(mine, ran) == Expected(pace=Pace(read=60.0, write=6.0))
    assert of_size(4000, ran) == Expected(pace=Pace(read=30.0, write=3.0), by="mine.gguf")
    assert of_size(180_000, ran) == Expected(pace=Pace(read=1.0, write=0.5), by="large.gguf")
    mine.write_bytes(b"x" * 1000)
    assert of_model(mine, ran) == Expected(pace=Pace(read=120.0, write=12.0), by="mine.gguf")


def test_nothing_is_expected_of_what_is_gone_or_of_quite_another_size(checks: Checks, tmp_path: Path) -> None:
    put(checks, "tiny.gguf 1000 77 2 threads", 60, 6)
    assert of_size(1_000_000, ran_here(checks)) is None
    assert of_size(1000, []) is None
    assert of_model(tmp_path / "gone.gguf", ran_here(checks)) is None
