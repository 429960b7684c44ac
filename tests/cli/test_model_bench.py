"""`agentd model bench` on a real tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentd.cli import main
from agentd.cli.model_bench import lines
from agentd.models.library.shelf import Shelf
from agentd.models.speed import Speed
from agentd.testing.gguf import write_random_model


def test_it_measures_the_chosen_model_and_says_what_that_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "random.gguf"
    write_random_model(path)
    Shelf(tmp_path).choose(path)
    common = ["--state-dir", str(tmp_path), "--config", "/dev/null", "--set", "model.threads=1"]
    assert main(["model", "bench", "--rounds", "2", *common]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("random, 1 thread\n  reads ") and "writes" in out
    assert err.startswith("round 1 of 2: reads ")
    assert main(["model", "bench", str(path), "--rounds", "1", "--json", *common]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert err == "" and figures["model"] == "random" and figures["threads"] == 1
    assert figures["written_tokens"] == 64 and figures["read"] > 0


def test_an_answer_of_one_token_is_no_speed() -> None:
    speed = Speed(read=100.0, write=0.0, first_token=2.0, read_tokens=200, written_tokens=1)
    text = "\n".join(lines("m", speed, 2))
    assert "not measured" in text and "2 threads" in text and "would take 20 s to read" in text
