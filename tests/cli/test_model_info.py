"""`agentd model info`: what is known about a model, and how the settings and this machine would run it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from agentd.cli import model_info
from agentd.cli.model_info import info_lines, known
from agentd.config import Settings
from agentd.config.sections import ModelSection
from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks, files, pace, probe, standing, verdict
from agentd.models.llama.checks import NAME, Checks
from agentd.models.llama.probe import Probed
from agentd.models.llama.standing import Standing
from agentd.models.llama.verdict import Verdict
from agentd.models.llama.ways import allowed
from agentd.ports.models import Pace
from agentd.testing.gguf import write_random_model


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentd.models.llama.machine.available_memory", lambda: 4 * 10**9)
    monkeypatch.setattr("agentd.models.llama.machine.free_threads", lambda: 3)
    monkeypatch.setattr(model_info, "gpu_found", lambda: False)


def facts(tmp_path: Path, *, context: int = 4096, **settings: object) -> dict[str, object]:
    path = tmp_path / "small.gguf"
    if not path.exists():
        write_random_model(path, context=context)
    return known(Shelf(tmp_path), str(path), Settings(model=ModelSection.model_validate(settings)))


def figures(told: object) -> list[str]:
    """The numbers of a fact, with their units."""
    return re.findall(r"\d+(?:[.,]\d+)*(?: [GM]B)?", str(told))


def is_offered(told: object) -> bool:
    return not str(told).startswith("not ")


def test_what_was_detected_is_told(tmp_path: Path) -> None:
    told = facts(tmp_path)
    assert figures(told["context used"]) == ["4096", "8192"]
    assert figures(told["memory"])[1:] == ["4096"]
    assert (figures(told["threads"]), figures(told["gpu layers"])) == (["3"], ["0"])
    assert figures(told["conversations"]) == ["16", "0.5 GB"]
    assert told["free memory"] == "4.0 GB"
    assert f"gpu layers     {told['gpu layers']}" in info_lines(told)


def test_what_is_set_comes_before_what_was_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = facts(tmp_path, context=65536, threads=2, gpu_layers=7, sequences=4, spill_bytes=0)
    assert (told["context used"], told["threads"], told["gpu layers"]) == ("8192 tokens", 2, 7)
    assert str(told["conversations"]).startswith("4 at once, 0 MB")
    monkeypatch.setattr(model_info, "gpu_found", lambda: True)
    assert str(facts(tmp_path)["gpu layers"]).startswith("all: ")


def test_how_fast_it_is_is_told_once_it_is_known_and_what_that_leaves_for_a_prompt(tmp_path: Path) -> None:
    assert str(facts(tmp_path)["speed"]).startswith("not measured yet")
    findings = Checks(Shelf(tmp_path).directory / checks.NAME)
    write_random_model(path := tmp_path / "small.gguf", context=4096)
    pace.Speeds(findings, pace.about(path, 3)).set(Pace(read=97.3, write=12.04))
    told = known(Shelf(tmp_path), str(path), Settings(model=ModelSection(first_text=4)))
    assert told["speed"] == "reads 97 tokens/s, writes 12.0 tokens/s"
    assert figures(told["first text"]) == ["4", "389"]
    assert "first text" not in facts(tmp_path, threads=2), "that is another speed"


def test_how_llama_cpp_runs_it_is_told_once_that_is_known(tmp_path: Path) -> None:
    assert str(facts(tmp_path)["llama.cpp"]).startswith("not tested yet")
    path, kept, ways = tmp_path / "small.gguf", Checks(Shelf(tmp_path).directory / checks.NAME), allowed(gpu=False)
    types = files.inspect(path).types
    verdict.keep(kept, types, ways, Verdict(way=ways[0], problems={}))
    assert facts(tmp_path)["llama.cpp"] == "flash+repack"
    verdict.keep(kept, types, ways, Verdict(way=ways[1], problems={ways[0].name: "it was killed by SIGSEGV"}))
    computed = str(facts(tmp_path)["llama.cpp"])
    assert computed.startswith("flash: ") and computed.endswith(" SIGSEGV.")
    verdict.keep(kept, types, ways, Verdict(way=None, problems={ways[0].name: "it was killed by SIGSEGV"}))
    assert not str(facts(tmp_path)["llama.cpp"]).startswith("flash")
    standing.write(kept, path, Standing(aside="It crashed."))
    assert known(Shelf(tmp_path), str(path), Settings())["set aside"] == "It crashed."


def test_a_model_of_the_catalogue_is_judged_before_it_is_pulled(tmp_path: Path) -> None:
    told = known(Shelf(tmp_path), "qwen3-4b", Settings(model=ModelSection(context=65536)))
    assert figures(told["context used"]) == ["32768", "65536"]
    assert "32768 tokens" in str(told["memory"])


def test_what_the_trial_of_a_model_found_is_told_with_what_overrules_it(tmp_path: Path) -> None:
    told = facts(tmp_path)
    assert str(told["tools"]).startswith("not known yet") and told["citations"] == told["tools"]
    assert not is_offered(facts(tmp_path, tools="off")["tools"])
    keep(tmp_path, Probed(knows=True, called=2, left_alone=True, cites=True))
    found = facts(tmp_path)["tools"]
    assert is_offered(found) and figures(found) == ["2", "2"] and 'model.tools = "off"' in str(found)
    assert facts(tmp_path)["citations"] == "by the model"
    keep(tmp_path, Probed(knows=True, called=1, left_alone=False, cites=False))
    found = facts(tmp_path)["tools"]
    assert not is_offered(found) and figures(found) == ["1", "2"] and 'model.tools = "on"' in str(found)
    assert str(facts(tmp_path)["citations"]).startswith("by agentd")
    assert facts(tmp_path, tools="on")["tools"] == "offered, as model.tools says"
    keep(tmp_path, Probed(knows=False, called=0, left_alone=True, cites=False))
    impossible = facts(tmp_path, tools="on")["tools"]
    assert not is_offered(impossible) and "chat template" in str(impossible)


def keep(folder: Path, found: Probed) -> None:
    checks = Checks(Shelf(folder).directory / NAME)
    checks.put(probe.KIND, probe._about(folder / "small.gguf"), dataclasses.asdict(found))
