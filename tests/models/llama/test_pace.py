"""The speed of a model is measured once, learned from requests, and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from agentd.models.llama.checks import Checks
from agentd.models.llama.job import Span
from agentd.models.llama.pace import MOST, SECONDS, Speeds, about, known, measure
from agentd.ports.models import Pace


class Plain:
    """A model on a machine that takes so long for each token of a batch, and so long more for each step."""

    context = 8192

    def __init__(self, *, token: float, step: float = 0.0, fails: bool = False) -> None:
        self.now, self.held = 0.0, 0
        self._token, self._step, self._fails = token, step, fails

    def decode(self, spans: Sequence[Span]) -> Literal["done", "full", "failed"]:
        assert all(span.start == self.held for span in spans), "it is not where the cache ends"
        self.held += sum(len(span.tokens) for span in spans)
        self.now += self._step + self._token * sum(len(span.tokens) for span in spans)
        return "failed" if self._fails else "done"

    def clear(self, sequence: int) -> None:
        self.held = 0


def measured(model: Plain) -> Pace:
    return measure(model, lambda: model.now)


@pytest.mark.parametrize("token", [0.00001, 0.001, 0.02, 0.2])
def test_reading_and_writing_are_measured_in_little_time(token: float) -> None:
    model = Plain(token=token, step=token)
    pace = measured(model)
    assert pace.write == pytest.approx(0.5 / token)
    assert 0.5 / token < pace.read <= 1 / token
    assert model.held == 0, "the cache is not empty"
    assert model.now < 2 * SECONDS + 60 * token


def test_a_quick_machine_reads_more_of_a_prompt_so_that_what_a_step_costs_tells_less() -> None:
    assert measured(Plain(token=1e-6, step=1e-4)).read > 0.6 * MOST / (MOST * 1e-6 + 1e-4)


def test_of_a_model_that_refuses_nothing_is_known() -> None:
    assert measured(Plain(token=0.01, fails=True)) == Pace(read=0.0, write=0.0)


def test_what_was_measured_is_known_at_the_next_start_for_this_file_and_these_threads(tmp_path: Path) -> None:
    checks, model = Checks(tmp_path / "checks.json"), tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    assert known(checks, model, 2) is None
    Speeds(checks, about(model, 2)).set(Pace(read=97.0, write=12.5))
    assert known(checks, model, 2) == Pace(read=97.0, write=12.5)
    assert known(checks, model, 1) is None
    model.write_bytes(b"GGUF, but another one")
    assert known(checks, model, 2) is None


def test_a_request_moves_the_speeds_towards_its_own_and_far_ones_are_kept(tmp_path: Path) -> None:
    checks = Checks(tmp_path / "checks.json")
    speeds = Speeds(checks, "m")
    speeds.set(Pace(read=100.0, write=10.0))
    assert speeds.learn(read=1000, read_seconds=5.0, written=50, write_seconds=5.0)
    assert speeds.pace.read == pytest.approx(130.0) and speeds.pace.write == 10.0
    assert Speeds(checks, "m").pace == Pace(read=130.0, write=10.0)
    assert speeds.learn(read=1000, read_seconds=1000 / 131, written=0, write_seconds=0.0)
    assert Speeds(checks, "m").pace.read == 130.0, "a small change is not worth a write"


def test_a_request_of_few_tokens_teaches_nothing() -> None:
    speeds = Speeds(Checks(None), "m")
    assert not speeds.learn(read=40, read_seconds=1.0, written=8, write_seconds=1.0)
    assert not speeds.learn(read=4000, read_seconds=0.0, written=800, write_seconds=0.0)
    assert speeds.pace == Pace(read=0.0, write=0.0)


@pytest.mark.parametrize("found", [{}, {"read": "fast"}, {"read": -1, "write": None}, {"read": True, "write": 1e300}])
def test_a_finding_that_is_no_speed_is_none(tmp_path: Path, found: dict[str, Any]) -> None:
    checks = Checks(tmp_path / "checks.json")
    checks.put("pace", "m", found)
    json.loads((tmp_path / "checks.json").read_text())
    assert Speeds(checks, "m").pace == Pace(read=0.0, write=0.0)
