"""What events are made of: texts that can be shown and stored, who asked, where the answer goes, what it cites."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, JsonValue, model_validator

from agentd.text.characters import whole
from agentd.text.plain import plain, plain_data, plain_error, plain_line
from agentd.text.structure import nesting

MOST_SAID, MOST_TOOLS, MOST_CALLS, MOST_STOPS = 1000, 128, 64, 16
"""Messages, tools, calls of one message and stop texts that the terms of a turn may have."""
LONGEST_STOP = 200
"""Characters of a stop text."""
MOST_TERMS = 2 * 1024 * 1024
"""Bytes of the terms of a turn, as JSON."""
LONGEST_CALL_ID, LONGEST_ARGUMENTS = 200, 65_536
"""Characters of the id of a call, and of its arguments."""
MOST_TOOL_BYTES, DEEPEST_TOOL = 256 * 1024, 16
"""What the tools of a caller have as JSON, and how deep their schemas are nested: the templates of models write them
out, within limits of their own."""

Text = Annotated[str, AfterValidator(plain)]
"""What somebody wrote."""
Name = Annotated[str, AfterValidator(plain_line)]
"""What something is called, for people."""
Words = Annotated[str, AfterValidator(plain_error)]
"""Why something happened, in the words of whoever tells it."""
Key = Annotated[str, AfterValidator(whole)]
"""What others call something: it stays as it is, except that it can always be stored."""


class Record(BaseModel):
    """An immutable value; change it by `model_copy(update=...)`.

    Reading a list ends at its first fault: to report millions of faults would take minutes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class Address(Record):
    """Where an answer goes; frozen into an event when it arrives."""

    channel: str
    account: str = ""
    chat: str
    thread: str = ""


class Principal(Record):
    """Whose a session or a document is. The owner sees all; everybody else sees their own.

    A `user` is another one of this machine, by uid; a `person` is known by a name, whichever way they come in; the `id`
    of a `chat` begins with its channel's name.
    """

    kind: Literal["owner", "user", "person", "chat"]
    id: str = ""


OWNER = Principal(kind="owner")

Scope = Literal["chat", "documents", "events", "admin"]
"""What a way in is good for, at most; what its principal may do is asked besides. chat: sessions, and what is asked
there. documents: upload, list, delete and share them. events: follow all that happens to one's principal. admin: what
is the house's.
"""
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))


class Sender(Record):
    """Who wrote a message, in the platform's terms; never used to decide where an answer goes."""

    id: Key
    name: Name = ""


class Citation(Record):
    """The place in a document that stands behind `[n]` in an answer; `start` and `end` count characters."""

    n: int
    title: Name
    source: Key
    heading: Name = ""
    start: int
    end: int

    @property
    def where(self) -> str:
        """The source, and the heading if there is one."""
        return f"{self.source}, {self.heading}" if self.heading else self.source


class Passage(Citation):
    """A piece of a document that was found for a question. Its text is untrusted data, whoever wrote it."""

    document_id: int
    chunk_id: int
    text: Text
    score: float
    """BM25, as a fraction of what a word counts that occurs nowhere else."""
    possible: float = 0.0
    """The score of a passage full of all that the question asks for; 0 if that is not known."""
    head: Text = ""
    """The line above the rows of the table in which the text begins; "" if it does not begin in one."""


class TurnUsage(Record):
    """What a turn took: tokens of all its requests, and seconds.

    `cached_tokens` of the prompts were in the model's cache, so that only the rest was read. `first_text_seconds` is
    from the start of the turn to the first word of its answer.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    read_seconds: float = 0.0
    write_seconds: float = 0.0
    first_text_seconds: float = 0.0
    seconds: float = 0.0


class CalledTool(Record):
    """A call as the model wrote it; `arguments` is meant to be JSON."""

    call_id: Key
    tool: Name
    arguments: Key


class SaidMessage(Record):
    """A message of a conversation as a caller tells it: nobody here heard it, so it is untrusted, whatever its role.

    `calls` are those that an assistant message made, `call_id` is the one whose result a tool message has.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: Text = ""
    calls: Annotated[tuple[CalledTool, ...], FailFast(), Field(max_length=MOST_CALLS)] = ()
    call_id: Key = ""


class CallersTool(Record):
    """A tool that its caller runs, never agentd; `parameters` is a JSON schema."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: Text = ""
    parameters: Annotated[dict[str, JsonValue], AfterValidator(plain_data)] = {}

    @model_validator(mode="after")
    def _check(self) -> CallersTool:
        if self.parameters.get("type", "object") != "object":
            raise ValueError("the parameters of a tool are not an object; give a schema of the type object")
        if not isinstance(self.parameters.get("properties", {}), dict):
            raise ValueError("the properties of a tool's parameters are not an object; name each of them")
        if nesting(self.parameters) > DEEPEST_TOOL:
            raise ValueError(f"the parameters of a tool are nested more than {DEEPEST_TOOL} deep; make them flatter")
        return self


Stop = Annotated[Text, Field(min_length=1, max_length=LONGEST_STOP)]


class SamplingTerms(Record):
    """How the next token is chosen; None means what the settings say."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=2**31)
    stop: Annotated[tuple[Stop, ...], FailFast(), Field(max_length=MOST_STOPS)] = ()
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)


class Terms(Record):
    """What the caller of a turn brings in place of what agentd has. Nothing of it raises a right.

    `before` is the conversation before the question, in place of the session's history, or behind it if the turn
    `continues` the session. `after` is what came after the question: the calls that an earlier turn handed back to the
    caller, and their results. With the turn that handed them back as `resumes`, its conversation, its question and its
    calls need not be told again.

    With `tools`, those of agentd are not offered, and no documents are used; a call of one of them ends the turn and
    is handed back to the caller. To have one tool called, give it alone, with `calling="required"`.

    `plain` says that the model gets these messages and nothing else: no instructions, documents or tools of agentd, and
    its answer stays as the model gave it. With an `answer_schema`, the answer is JSON that matches that JSON schema,
    without documents.
    """

    before: Annotated[tuple[SaidMessage, ...], FailFast(), Field(max_length=MOST_SAID)] = ()
    after: Annotated[tuple[SaidMessage, ...], FailFast(), Field(max_length=MOST_SAID)] = ()
    tools: Annotated[tuple[CallersTool, ...], FailFast(), Field(max_length=MOST_TOOLS)] = ()
    calling: Literal["auto", "none", "required"] = "auto"
    sampling: SamplingTerms = SamplingTerms()
    answer_schema: Annotated[dict[str, JsonValue], AfterValidator(plain_data)] | None = None
    continues: bool = False
    resumes: Annotated[Key, Field(max_length=100)] = ""
    plain: bool = False

    @model_validator(mode="after")
    def _check(self) -> Terms:
        if self.calling == "required" and not self.tools:
            raise ValueError("a call is required, but there are no tools; give one")
        if self.answer_schema is not None and self.tools:
            raise ValueError("an answer cannot be held to a schema while tools are offered; leave one of them out")
        if sum(len(tool.model_dump_json()) for tool in self.tools) > MOST_TOOL_BYTES:
            raise ValueError(f"the tools have more than {MOST_TOOL_BYTES:,} bytes; leave some out")
        self._check_calls()
        return self

    def _check_calls(self) -> None:
        made: set[str] = set()
        for said in (*self.before, *self.after):
            for call in said.calls:
                if not call.tool or not 1 <= len(call.call_id) <= LONGEST_CALL_ID:
                    raise ValueError(f"a call needs a tool, and a call_id of 1 to {LONGEST_CALL_ID} characters")
                if len(call.arguments) > LONGEST_ARGUMENTS:
                    raise ValueError(f"the arguments of a call may have {LONGEST_ARGUMENTS:,} characters; shorten them")
            if said.role == "tool" and said.call_id not in made and not self.resumes:
                raise ValueError("a tool message has the result of no earlier call; give the call_id of one")
            made |= {call.call_id for call in said.calls}
