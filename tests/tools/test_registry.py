"""The tools of a fresh install, and what a model is told of them."""

from __future__ import annotations

import json
import re

from agentd.testing.clock import FakeClock
from agentd.tools.registry import built_in, specs
from tests.fakes import ListedDocuments

TOOLS = built_in(documents=ListedDocuments(), clock=FakeClock())


def test_each_tool_stands_under_its_own_name() -> None:
    assert list(TOOLS) == ["calculate", "current_time", "search_documents"]
    assert all(tool.name == name and re.fullmatch(r"[a-z_]{1,64}", name) for name, tool in TOOLS.items())


def test_none_of_them_changes_anything() -> None:
    assert not any(tool.side_effects for tool in TOOLS.values())


def test_a_model_is_told_name_purpose_and_schema_in_one_order() -> None:
    told = specs(dict(sorted(TOOLS.items(), reverse=True)))
    assert [spec.name for spec in told] == ["calculate", "current_time", "search_documents"]
    assert told[2].parameters["required"] == ["query"]
    assert all(spec.description and json.dumps(spec.parameters) for spec in told)
    assert all("description" in field for spec in told for field in spec.parameters["properties"].values())


def test_what_is_read_with_every_prompt_is_short() -> None:
    """About four characters are a token; the whole prompt of a greeting shall have at most 600."""
    told = [
        {"name": spec.name, "description": spec.description, "parameters": spec.parameters} for spec in specs(TOOLS)
    ]
    assert len(json.dumps(told)) < 900


def test_no_example_stands_there_that_a_model_could_repeat_as_an_answer() -> None:
    assert not re.search(
        r"\d", json.dumps([[spec.description, spec.parameters] for spec in specs(TOOLS)]).replace("log10", "")
    )
