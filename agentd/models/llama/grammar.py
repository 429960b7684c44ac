"""A JSON schema as a grammar of llama.cpp (GBNF), tried out where a crash costs nothing before it is used.

The converter is llama-cpp-python's. Conversion and first use run in a copy of the process: both can be made to crash,
to hang or to grow by a schema of a stranger.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

from agentd.errors import ModelError
from agentd.host.limits import Crashed
from agentd.models.llama.isolate import isolated
from agentd.models.llama.sampler import Grammar
from agentd.models.llama.vocabulary import Vocabulary

LONGEST = 256 * 1024
"""Bytes of a grammar."""
SECONDS = 1.0
"""That conversion and trial may take; the answers of others wait for it."""
_ANY_CHARACTER, _CHARACTER = r'char ::= [^"\\] |', r'char ::= [^"\\\x7F\x00-\x1F] |'
"""The converter lets line breaks stand in strings as they are, which JSON (RFC 8259, section 7) does not."""
KEPT = 64
"""Schemas that are remembered with their grammars."""


class Grammars:
    """Schema to grammar; each schema is converted and tried once as long as it is remembered."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: OrderedDict[str, bytes | ModelError] = OrderedDict()

    def grammar(self, schema: dict[str, Any]) -> bytes:
        """GBNF that llama.cpp takes; `ModelError` where the schema cannot be kept."""
        key = json.dumps(schema)
        found = self._known.pop(key, None) or self._make(key)
        self._known[key] = found
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        if isinstance(found, ModelError):
            raise ModelError(str(found))
        return found

    def _make(self, schema: str) -> bytes | ModelError:
        try:
            return isolated(lambda: self._try(convert(schema)), seconds=SECONDS)
        except ModelError as error:
            return error
        except Crashed as crash:
            return ModelError(f"The schema cannot be used: turning it into a grammar failed, {crash}; simplify it.")

    def _try(self, grammar: bytes) -> bytes:
        """Look at the whole vocabulary through the grammar, as the first token of an answer will."""
        trial = Grammar(grammar, self._vocabulary)
        if not trial.any_allowed():
            raise ModelError("The schema cannot be met: no answer fits it; correct the schema.")
        return grammar


def convert(schema: str) -> bytes:
    """GBNF of a schema in JSON; `ModelError` where the converter does not know what to make of it."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf  # in the child only

    try:
        found: str = json_schema_to_gbnf(json.dumps(_with_plain_top(json.loads(schema))))
    except (AssertionError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError(f"The schema cannot be used: {error or type(error).__name__}; simplify it.") from None
    grammar = found.replace(_ANY_CHARACTER, _CHARACTER).encode()
    if len(grammar) > LONGEST:
        raise ModelError(f"The schema makes a grammar of {len(grammar)} bytes, more than {LONGEST}; simplify it.")
    return grammar


def _with_plain_top(schema: dict[str, Any]) -> dict[str, Any]:
    """The converter finds no definitions beside a reference at the top, so the reference moves one level down."""
    if "$ref" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return {**rest, "anyOf": [{"$ref": schema["$ref"]}]}
