"""What a request of OpenAI's APIs asks for, as agentd takes it: the same for chat completions and responses.

Clients differ in what they send: a content is a text or a list of parts, and fields that mean nothing here are ignored.
What would change the meaning of the answer if it were ignored is refused with `Invalid`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from agentd.errors import UsageError
from agentd.records import MOST_STOPS, CallersTool, SaidMessage, SamplingTerms, Terms
from channels.websocket.openai.sources import without_sources

TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
"""Parts of a content that are read; all others hold what no model of agentd can see or hear."""


class Invalid(UsageError):
    """`param` is the field of the request that is at fault."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class FirstFault(FailFast):
    """A list that is bad is not read further; unlike `FailFast`, this may stand in a union."""

    __hash__ = object.__hash__


class Lenient(BaseModel):
    """What clients send: fields that are not known here are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class ContentPart(Lenient):
    """A piece of a message. Only text is understood: types that hold anything else are refused."""

    type: str
    text: str | None = None
    refusal: str | None = None


Content = str | Annotated[tuple[ContentPart, ...], FirstFault(), Field(max_length=1000)]


class Extension(Lenient):
    """What only agentd knows: with `sources` false, no list of the sources is put at the end of the text."""

    sources: bool = True


class Form(Lenient):
    """The form of an answer: `text`, or JSON: any object (`json_object`), or what fits a schema (`json_schema`)."""

    type: str = "text"
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None

    def answer_schema(self, param: str) -> dict[str, Any] | None:
        """What the answer is held to; `Invalid` for another form."""
        match self.type:
            case "text":
                return None
            case "json_object":
                return {"type": "object"}
            case "json_schema" if self.schema_ is not None:
                return self.schema_
            case "json_schema":
                raise Invalid("there is no schema to which the answer could be held; send one.", param)
            case other:
                raise Invalid(f"answers of the form {other!r:.60} are not known; use text or json_schema.", param)


Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=1, le=2**31)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Stops = str | Annotated[tuple[str, ...], FirstFault(), Field(max_length=MOST_STOPS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question and what its caller brings along. `sources` says whether a list of them belongs to the text."""

    model: str
    text: str
    terms: Terms
    stream: bool = False
    usage: bool = False
    """Whether a stream ends with the figures."""
    sources: bool = True
    documents: int | None = None

    def plain(self) -> Asked:
        """For the model itself: these messages and nothing else."""
        return replace(self, terms=self.terms.model_copy(update={"plain": True}), documents=0)

    def continuing(self) -> Asked:
        """For a session that goes on: of the given conversation only what its caller tells the model counts."""
        told = tuple(said for said in self.terms.before if said.role == "system")
        return replace(self, terms=self.terms.model_copy(update={"before": told, "continues": True}))


def text_of(content: Content | None, param: str) -> str:
    """The text of a content; `Invalid` if it holds anything else."""
    if content is None or isinstance(content, str):
        return content or ""
    for n, part in enumerate(content):
        if part.type not in TEXT_PARTS:
            raise Invalid(
                f"content of the type {part.type!r:.60} is not understood here; send text, and upload files with "
                "`POST /api/documents`.",
                f"{param}[{n}].type",
            )
    return "\n".join(part.text or part.refusal or "" for part in content)


def terms_of(
    said: Sequence[SaidMessage],
    *,
    tools: Sequence[CallersTool] = (),
    calling: Literal["auto", "none", "required"] = "auto",
    param: str,
    resumes: str = "",
    answer_schema: dict[str, Any] | None = None,
    **sampling: Any,
) -> tuple[str, Terms]:
    """The newest message of the user, and what its caller brings along; `Invalid` without such a message.

    After an earlier turn, which it `resumes`, only the results of its calls may come; the text is "" then.
    """
    text, before, after = _split(said, resumes)
    if not text.strip() and not resumes:
        raise Invalid("there is no message of the user to answer; send one with some text.", param)
    with_values = {name: value for name, value in sampling.items() if value is not None}
    try:
        terms = Terms(
            before=before,
            after=after,
            tools=tuple(tools),
            calling=calling,
            sampling=SamplingTerms(**with_values),
            answer_schema=answer_schema,
            resumes="" if text else resumes,
        )
    except ValidationError as error:
        raise invalid(error, param) from None
    return text, terms


def _split(said: Sequence[SaidMessage], resumes: str) -> tuple[str, tuple[SaidMessage, ...], tuple[SaidMessage, ...]]:
    """The newest text of the user, and what was said before and after it."""
    cleaned = tuple(_cleaned(message) for message in said)
    newest = max((n for n, message in enumerate(said) if message.role == "user"), default=-1)
    if newest >= 0:
        return said[newest].text, cleaned[:newest], cleaned[newest + 1 :]
    system = tuple(message for message in cleaned if message.role == "system")
    return "", system, tuple(message for message in cleaned if message.role != "system")


def _cleaned(message: SaidMessage) -> SaidMessage:
    """An answer of ours comes back with the list that we put at its end: the model did not say that."""
    if message.role != "assistant":
        return message
    return message.model_copy(update={"text": without_sources(message.text)})


def invalid(error: ValidationError, param: str) -> Invalid:
    """The first fault of what a request comes to."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return Invalid(f"{param}: {first['msg'].removeprefix('Value error, ')}", param)


def stops_of(stop: Stops | None) -> tuple[str, ...]:
    """Texts at which the answer ends."""
    texts = (stop,) if isinstance(stop, str) else stop or ()
    return tuple(text for text in texts if text)


def chosen(
    tools: Sequence[CallersTool], choice: str, name: str, param: str
) -> tuple[Sequence[CallersTool], Literal["auto", "none", "required"]]:
    """The tools that may be called, and whether one must be: `name` is the only one, if it is not ""."""
    if name:
        only = [tool for tool in tools if tool.name == name]
        if not only:
            raise Invalid(f"there is no tool {name!r:.70} among the tools; choose one of them.", param)
        return only, "required"
    match choice:
        case "none" | "auto":
            return tools, choice
        case "required" if tools:
            return tools, "required"
        case "required":
            raise Invalid("there are no tools of which one could be called; send tools.", param)
        case _:
            raise Invalid(f"a choice of the type {choice!r:.60} is not known; use none, auto or required.", param)
