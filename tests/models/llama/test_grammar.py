from __future__ import annotations

import json
from typing import Any

import pytest

from agentd.errors import ModelError
from agentd.models.llama import grammar as grammar_module
from agentd.models.llama.driver import Driver
from agentd.models.llama.grammar import LONGEST, Grammars, convert
from agentd.models.llama.schema import calls_schema
from agentd.models.llama.vocabulary import Vocabulary
from agentd.ports.generation import ToolSpec
from agentd.testing.gguf import write_random_model

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    write_random_model(path)
    return Driver(path, context=256, threads=1, gpu_layers=0, sequences=1).vocabulary


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}


@pytest.mark.parametrize(
    "schema", [{}, {"type": "string"}, {"$defs": {"node": NODE}, "$ref": "#/$defs/node"}, {"enum": ["a", 1, None]}]
)
def test_a_schema_becomes_a_grammar_that_llama_cpp_takes(vocabulary: Vocabulary, schema: dict[str, Any]) -> None:
    assert b"root ::=" in Grammars(vocabulary).grammar(schema)


def test_calls_of_tools_become_a_grammar_too(vocabulary: Vocabulary) -> None:
    city = {"type": "string", "pattern": "^(?=x)", "minLength": -1}
    full = {"properties": {"city": city, "n": {"$ref": "#/nowhere"}, "of": {"enum": ["a"]}}, "required": ["city", 1]}
    parameters: list[dict[str, Any]] = [{}, full, {"type": 1}]
    tools = [ToolSpec(name=f"t{n}", description="", parameters=each) for n, each in enumerate(parameters)]
    assert b"root ::=" in Grammars(vocabulary).grammar(calls_schema(tools))


def test_strings_have_no_line_breaks_in_them() -> None:
    assert rb'char ::= [^"\\\x7F\x00-\x1F]' in convert('{"type": "string"}')


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "pattern": "abc"}, r"Pattern must start with"),
        ({"type": "string", "pattern": "^(?=a)$"}, "Unsupported pattern"),
        ({"type": "string", "pattern": "^[$"}, "Unbalanced"),
        ({"type": "string", "pattern": "^" + "(" * 2000 + "a" + ")" * 2000 + "$"}, "cannot be used"),
        ({"type": "string", "pattern": "^a{1,100000000}$"}, "cannot be used"),
        ({"type": "string", "pattern": "^a]b$"}, "cannot be used"),
        ({"$ref": "#/$defs/nowhere"}, "cannot be used"),
        ({"$defs": {"n": {"$ref": "#/$defs/n"}}, "$ref": "#/$defs/n"}, "cannot be used"),
        ({"enum": []}, "llama.cpp does not"),
    ],
)
def test_a_schema_that_breaks_the_converter_or_llama_cpp_is_refused_in_words(
    vocabulary: Vocabulary, schema: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        Grammars(vocabulary).grammar(schema)


def test_a_schema_is_converted_once_and_refused_once(vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    grammars = Grammars(vocabulary)
    first = grammars.grammar({"type": "null"})
    with pytest.raises(ModelError):
        grammars.grammar({"enum": []})
    monkeypatch.setattr(grammar_module, "LONGEST", 0)  # nothing can be converted any more
    assert grammars.grammar({"type": "null"}) == first
    with pytest.raises(ModelError, match="does not accept"):
        grammars.grammar({"enum": []})


def test_only_so_many_schemas_are_remembered(vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_module, "KEPT", 3)
    grammars = Grammars(vocabulary)
    for number in range(5):
        grammars.grammar({"const": number})
    assert len(grammars._known) == 3


def test_a_grammar_that_is_too_large_is_refused() -> None:
    wide = {"enum": ["x" * 60 + str(i) for i in range(5000)]}
    with pytest.raises(ModelError, match=f"more than {LONGEST}"):
        convert(json.dumps(wide))
