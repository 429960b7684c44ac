"""What is fed with what, and what must hold whatever the input is.

A check raises if it does not hold. Every check also has a limit of processor time, see `drive`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import TypeAdapter

from agentd.cli.repl import render
from agentd.cli.repl.blocks import Blocks
from agentd.config.settings import known_keys, load
from agentd.errors import ConfigError, NewerVersion, ToolError, UsageError
from agentd.evidence.call_forms import Call
from agentd.models.llama.calls import CallFinder
from agentd.models.llama.family import FAMILIES, Family
from agentd.models.llama.text import Assembler
from agentd.models.openai.answer import Answer, ServerFailed, Withheld
from agentd.models.openai.stream import Events
from agentd.pending.file import Damaged, decode_file, decode_header, digest, encode_file, seal
from agentd.pending.log import after, encode_line, lines_of
from agentd.ports.generation import ReasoningDelta, TextDelta, ToolCallDelta, Usage
from agentd.records import Passage
from agentd.retrieval.chunks import split
from agentd.serving.protocol import ClientMessage, ServerMessage, decode_client, decode_server
from agentd.text.characters import whole
from agentd.text.markup import blocks
from agentd.tools.arithmetic import CONSTANTS, FUNCTIONS, LONGEST, evaluate, written
from agentd.tools.sums import sum_of
from agentd.turns.citations import check_citations
from tests.builders import inbound, outbound
from tests.fuzz.shapes import as_json, changed, mutated, odd_json, odd_text, pieces


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """`inputs` draws what `check` is called with."""

    inputs: SearchStrategy[Any]
    check: Callable[[Any], None]


LONGEST_ERROR = 2000
"""Characters: a person reads it."""


def _readable(error: Exception) -> None:
    said = str(error)
    assert said.strip() and len(said) <= LONGEST_ERROR, f"{len(said)} characters say what is wrong"
    said.encode()


# --- frames ----------------------------------------------------------------------------------------------------------


def _members(union: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of all members of the messages of a union, and their types."""
    schema = TypeAdapter(union).json_schema()["$defs"]
    names = {name for model in schema.values() for name in model.get("properties", {})}
    types = {
        model["properties"]["type"]["const"]
        for model in schema.values()
        if "const" in model.get("properties", {}).get("type", {})
    }
    return tuple(sorted(names)), tuple(sorted(types))


def _frames(union: Any) -> SearchStrategy[bytes]:
    names, types = _members(union)
    members = st.dictionaries(st.sampled_from(names), odd_json(names), max_size=8)
    right = st.tuples(members, st.sampled_from(types)).map(lambda drawn: {**drawn[0], "type": drawn[1]})
    return st.one_of(right.map(as_json), odd_json(names).map(as_json), st.binary(max_size=200))


def _decodes(decode: Callable[[bytes], Any]) -> Callable[[bytes], None]:
    def check(line: bytes) -> None:
        try:
            decode(line).model_dump_json()
        except UsageError as error:
            _readable(error)

    return check


# --- the pending directory -------------------------------------------------------------------------------------------

_EVENT = outbound(inbound("what?"), "this")
_FILES = (encode_file(inbound("hello")), encode_file(_EVENT))


def _sealed(fields: dict[str, Any]) -> bytes:
    """A file whose seals hold, whatever is in it."""
    body = as_json(fields["body"])
    header = {**fields["header"], "len": len(body), "sha256": digest(body)}
    try:
        return seal(header) + b"\n" + body
    except UnicodeEncodeError:
        return body


def _file_parts(data: bytes) -> dict[str, Any]:
    header, _, body = data.partition(b"\n")
    return {"header": json.loads(header), "body": json.loads(body)}


def _pending_file(data: bytes) -> None:
    for read in (decode_header, decode_file):
        try:
            read(data, "x.event")
        except (Damaged, NewerVersion) as error:
            _readable(error)


_LINES = ("started", "parked", "held", "sending", "part", "deferred", "state", "buried")
_LINE_NAMES = (
    "of",
    "line",
    "alone",
    "parts",
    "n",
    "until",
    "attempt",
    "error",
    "uncertain",
    "starts",
    "running",
    "sending",
)


def _log_lines() -> SearchStrategy[list[dict[str, Any]]]:
    line = st.fixed_dictionaries(
        {"of": st.just(_EVENT.id), "line": st.sampled_from(_LINES)},
        optional={name: odd_json(_LINE_NAMES) for name in _LINE_NAMES[2:]},
    )
    return st.lists(line, max_size=5)


def _pending_log(lines: list[dict[str, Any]]) -> None:
    """Sealed lines that say anything, with bytes between them that are no lines."""
    written = b"\x00torn".join(encode_line(line) for line in lines)
    turn = decode_header(_FILES[1], "x.event").turn()
    try:
        after(turn, lines_of((written,), turn.outbound_id))
    except Damaged as error:
        _readable(error)


# --- what models write -----------------------------------------------------------------------------------------------

_OFFERED = {"calculate": ("expression",), "search_documents": ("query", "limit"), "current_time": ("timezone",)}
_CALL_WORDS = (
    *_OFFERED,
    *(mark for family in FAMILIES for mark in (family.opens, family.closes) if mark),
    *('{"name": "calculate", "arguments": {"expression": "1+1"}}', "```json\n", "```", "<tool_call>", "</tool_call>"),
    *('{"name": ', '"arguments": ', "calculate(expression='1')", '"', "'", "{", "}", "[", "]", ",", ":", "\\", "null"),
)


def _calls(drawn: tuple[Family, list[str]]) -> None:
    """The same calls and texts whatever the cut, and nothing vanishes that was no call."""
    family, parts = drawn
    finder = CallFinder(family, _OFFERED)
    found = [piece for part in parts for piece in finder.feed(part)] + finder.finish()
    for piece in found:
        if isinstance(piece, Call):
            assert isinstance(json.loads(json.dumps(piece.arguments)), dict | str)
    whole = CallFinder(family, _OFFERED)
    at_once = whole.feed("".join(parts)) + whole.finish()
    assert _merged(found) == _merged(at_once), "the cut decides what is said"


def _merged(found: list[str | Call]) -> list[str | Call]:
    merged: list[str | Call] = []
    for piece in found:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif piece != "":
            merged.append(piece)
    return merged


def _bytes_of_tokens(tokens: list[bytes]) -> None:
    """Text that can be written down, the same whatever the cut."""
    one, other = Assembler(stop=("STOP", "\n\nUser:")), Assembler(stop=("STOP", "\n\nUser:"))
    said = [piece for token in tokens for piece in one.feed(token)] + one.finish()
    whole = other.feed(b"".join(tokens)) + other.finish()
    for reasoning in (False, True):
        text = "".join(piece.text for piece in said if piece.reasoning is reasoning)
        assert text == "".join(piece.text for piece in whole if piece.reasoning is reasoning)
        text.encode()


def _passage(n: int) -> Passage:
    return Passage(n=n, document_id=n, chunk_id=n, source="s", title="t", text="x", score=1, start=0, end=1)


def _citations(text: str) -> None:
    checked, cited = check_citations(text, [_passage(1), _passage(3)])
    assert len(checked) <= len(text)
    assert {citation.n for citation in cited} <= {1, 3}


# --- what model servers send -----------------------------------------------------------------------------------------

_SERVER_NAMES = (
    *("choices", "delta", "message", "content", "reasoning_content", "tool_calls", "function", "name", "arguments"),
    *("index", "id", "finish_reason", "usage", "prompt_tokens", "completion_tokens", "timings", "prompt_progress"),
    *("error", "detail", "code", "text", "total", "processed", "type"),
)
_CALL = {"index": 0, "id": "c", "function": {"name": "calculate", "arguments": '{"expression": "1"}'}}
_EVENTS = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "so"}, "finish_reason": "stop"}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [_CALL]}, "finish_reason": "tool_calls"}]},
    {
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 1}},
    },
    {"choices": [{"index": 0, "message": {"content": "<think>hm</think>Hello"}, "finish_reason": "length"}]},
    {"prompt_progress": {"total": 10, "cache": 0, "processed": 5, "time_ms": 3}, "timings": {"prompt_ms": 1}},
    {"error": {"message": "out of memory", "code": 500}},
)
_LONGEST_ANSWER = 4000


def _server_lines() -> SearchStrategy[list[bytes]]:
    event = st.sampled_from(_EVENTS).flatmap(lambda right: changed(right, _SERVER_NAMES)).map(as_json)
    line = st.one_of(
        event.map(lambda data: b"data: " + data),
        event,
        st.sampled_from((b"", b": ping", b"event: ping", b"retry: 1", b"data:", b"data: [DONE]", b"<html>", b"id: 1")),
        event.flatmap(mutated).map(lambda data: b"data: " + data.replace(b"\n", b"")),
    )
    return st.lists(line, max_size=12)


def _server(lines: list[bytes]) -> None:
    """The deltas can be written down, and are no longer than was asked for."""
    events, answer = Events(most=2000), Answer(_LONGEST_ANSWER)
    said = 0
    try:
        found = [value for line in lines for value in events.feed(line)] + events.finish()
        deltas = [delta for value in found for delta in answer.feed(value)] + answer.finish()
    except (ServerFailed, Withheld, ValueError) as error:
        str(error).encode()
        return
    for delta in deltas:
        match delta:
            case TextDelta() | ReasoningDelta():
                delta.text.encode()
                said += len(delta.text)
            case ToolCallDelta():
                f"{delta.call_id}{delta.name}{delta.arguments}".encode()
                said += len(delta.arguments)
            case Usage():
                assert min(delta.prompt_tokens, delta.cached_tokens, delta.completion_tokens) >= 0
    assert said <= _LONGEST_ANSWER


# --- documents -------------------------------------------------------------------------------------------------------


def _chunks(drawn: tuple[str, bool]) -> None:
    """Chunks are pieces of the text in order, they hold all that is not blank, and their headings are short."""
    text, markdown = whole(drawn[0]), drawn[1]
    outline = split(text, markdown=markdown)
    assert len(outline.title) <= _LONGEST_TITLE
    after = 0
    for chunk in outline.chunks:
        assert after <= chunk.start < chunk.end <= len(text)
        assert chunk.text == text[chunk.start : chunk.end]
        assert len(chunk.heading) <= _LONGEST_TITLE
        after = chunk.end


_LONGEST_TITLE = 1000
_DOCUMENT_WORDS = (
    *("---\n", "title: a\n", "a: b\n", "# ", "## ", "\n===\n", "```\n", "| a |\n", "\n\n", "word ", "<p>", "![", "]("),
    "data:image/png;base64,AAAA",
)


# --- Markdown --------------------------------------------------------------------------------------------------------

_MARKDOWN_WORDS = (
    "# ",
    "- ",
    "1. ",
    "> ",
    "```\n",
    "| a | b |\n",
    "|---|---|\n",
    "[x](http://a)",
    "[1]",
    "![",
    "](",
    "**",
    "_",
    "&amp;",
    "<b>",
    "\n\n",
    "\n",
    "    ",
)


def _markdown(parts: list[str]) -> None:
    """Blocks are all of the text; what is shown holds no escape but colours."""
    splitter = Blocks()
    found = [block for part in parts for block in splitter.feed(part)] + splitter.finish()
    assert "".join("".join(found).split()) == "".join("".join(parts).split())
    for block in found:
        render.block(block, 60).encode("utf-8", "surrogatepass")
    blocks("".join(parts))


# --- sums ------------------------------------------------------------------------------------------------------------

_SUM_WORDS = (
    *FUNCTIONS,
    *CONSTANTS,
    *(
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "^",
        "**",
        "(",
        ")",
        ",",
        " ",
        "\u00d7",
        "\u00b2",
        "1",
        "0.5",
        "007",
        "9e99",
        "1_0",
    ),
    *(
        "what is ",
        "half of ",
        "% of ",
        " percent of ",
        "squared",
        " and ",
        "sum of ",
        "__import__('os')",
        "lambda:",
        "[0]",
    ),
)


def _sum(text: str) -> None:
    """A value that can be written down, or a sentence that says what is wrong."""
    found = sum_of(text[:LONGEST])
    for expression in (text, found.expression if found else ""):
        try:
            assert written(evaluate(expression))
        except ToolError as error:
            _readable(error)


# --- the configuration -----------------------------------------------------------------------------------------------

_KEYS = tuple(".".join(known.key) for known in known_keys())
_TOML_WORDS = (
    *_KEYS,
    *(f"[{name.partition('.')[0]}]\n" for name in _KEYS),
    " = ",
    "true",
    "1e999",
    '"""',
    "'",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "-1",
    "inf",
)


def _config(text: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "agentd.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load({}, config=path)
        except ConfigError as error:
            str(error).encode()


TARGETS: dict[str, Target] = {
    "client-frames": Target(inputs=_frames(ClientMessage), check=_decodes(decode_client)),
    "server-frames": Target(inputs=_frames(ServerMessage), check=_decodes(decode_server)),
    "pending-file": Target(
        inputs=st.one_of(
            st.sampled_from(_FILES).flatmap(mutated),
            st.sampled_from(_FILES)
            .map(_file_parts)
            .flatmap(changed)
            .filter(lambda parts: isinstance(parts, dict) and isinstance(parts.get("header"), dict) and "body" in parts)
            .map(_sealed),
        ),
        check=_pending_file,
    ),
    "pending-log": Target(inputs=_log_lines(), check=_pending_log),
    "server": Target(inputs=_server_lines(), check=_server),
    "chunks": Target(inputs=st.tuples(odd_text(_DOCUMENT_WORDS), st.booleans()), check=_chunks),
    "calls": Target(inputs=st.tuples(st.sampled_from(FAMILIES), pieces(odd_text(_CALL_WORDS))), check=_calls),
    "tokens": Target(
        inputs=st.lists(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from((b"<think>", b"</think>", b"STO", b"P", b"\xf0\x9f", b"\x98\x80")),
            ),
            max_size=30,
        ),
        check=_bytes_of_tokens,
    ),
    "citations": Target(
        inputs=odd_text(("[1]", "[2]", "[3]", "[1, 3]", "```\n", "`", "[", "]", "> ")), check=_citations
    ),
    "markdown": Target(inputs=pieces(odd_text(_MARKDOWN_WORDS)), check=_markdown),
    "sums": Target(inputs=odd_text(_SUM_WORDS), check=_sum),
    "config": Target(inputs=odd_text(_TOML_WORDS), check=_config),
}
