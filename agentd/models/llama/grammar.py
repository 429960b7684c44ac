"""A JSON schema as a grammar of llama.cpp (GBNF), which is tried in a copy of the process before it is used.

The converter is llama-cpp-python's. Conversion and first use run in the copy, because an untrusted schema can make both
crash, hang or grow.
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
"""Processor time for conversion and trial; other answers wait meanwhile."""
_ANY_CHARACTER, _CHARACTER = r'char ::= [^"\\] |', r'char ::= [^"\\\x7F\x00-\x1F] |'
"""The converter allows raw line breaks in strings, which JSON (RFC 8259, section 7) does not."""
KEPT = 64
"""Schemas that are remembered with their grammars."""


class Grammars:
    """Turns schemas into grammars; a schema is converted and tried again only after it was forgotten."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: OrderedDict[str, bytes | ModelError] = OrderedDict()

    def grammar(self, schema: dict[str, Any]) -> bytes:
        """GBNF that llama.cpp accepts; `ModelError` if there is none for this schema."""
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
        """Apply the grammar to the complete vocabulary, as for the first token of an answer."""
        trial = Grammar(grammar, self._vocabulary)
        if not trial.any_allowed():
            raise ModelError("The schema cannot be met: no answer fits it; correct the schema.")
        return grammar


def convert(schema: str) -> bytes:
    """The GBNF for a JSON schema; `ModelError` if the converter fails."""
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
    """The converter ignores definitions beside a reference at the top, so the reference moves one level down."""
    if "$ref" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return {**rest, "anyOf": [{"$ref": schema["$ref"]}]}
