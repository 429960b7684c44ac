"""`POST /v1/chat/completions`: what may be asked, as clients send it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from agentd.records import MOST_CALLS, MOST_SAID, MOST_TOOLS, CalledTool, CallersTool, SaidMessage
from channels.websocket.openai.asked import (
    Asked,
    Content,
    Extension,
    FirstFault,
    Form,
    Invalid,
    Lenient,
    Seed,
    Stops,
    Temperature,
    Tokens,
    ToolName,
    TopP,
    chosen,
    stops_of,
    terms_of,
    text_of,
)


class FunctionCall(Lenient):
    name: ToolName
    arguments: str = ""


class ToolCall(Lenient):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    tool_calls: Annotated[tuple[ToolCall, ...], FirstFault(), Field(max_length=MOST_CALLS)] | None = None
    tool_call_id: str | None = None


class Function(Lenient):
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ChatTool(Lenient):
    """A function that the caller runs; other types of tools are refused."""

    type: str
    function: Function | None = None


class NamedFunction(Lenient):
    name: ToolName


class ChatToolChoice(Lenient):
    type: str
    function: NamedFunction | None = None


class StreamOptions(Lenient):
    include_usage: bool | None = None


class SchemaForm(Form):
    """As in `Form`; chat completions have the schema one level deeper."""

    json_schema: Form | None = None


class ChatRequest(Lenient):
    """A request for a chat completion. Fields that are not listed are ignored."""

    model: str
    messages: Annotated[tuple[ChatMessage, ...], FirstFault(), Field(min_length=1, max_length=MOST_SAID)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[tuple[ChatTool, ...], FirstFault(), Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChatToolChoice | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Stops | None = None
    seed: Seed | None = None
    n: int | None = None
    response_format: SchemaForm | None = None
    functions: Any = None
    agentd: Extension | None = None


def chat_asked(request: ChatRequest) -> Asked:
    """What is asked; `Invalid` if it cannot be done."""
    _refuse_what_is_not_done(request)
    tools, calling = _tools(request)
    text, terms = terms_of(
        [_said(message, f"messages[{n}]") for n, message in enumerate(request.messages)],
        tools=tools,
        calling=calling,
        param="messages",
        answer_schema=_schema(request.response_format),
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_completion_tokens or request.max_tokens,
        stop=stops_of(request.stop),
        seed=request.seed,
    )
    options, extension = request.stream_options or StreamOptions(), request.agentd or Extension()
    return Asked(
        model=request.model,
        text=text,
        terms=terms,
        stream=bool(request.stream),
        usage=bool(options.include_usage),
        sources=extension.sources,
    )


def _refuse_what_is_not_done(request: ChatRequest) -> None:
    if request.n is not None and request.n != 1:
        raise Invalid("one answer is given at a time; leave n out, and ask again for another one.", "n")
    if request.functions:
        raise Invalid("functions were replaced by tools; send tools.", "functions")


def _schema(form: SchemaForm | None) -> dict[str, Any] | None:
    if form is None:
        return None
    inner = form.json_schema or form
    return inner.model_copy(update={"type": form.type}).answer_schema("response_format")


def _said(message: ChatMessage, param: str) -> SaidMessage:
    return SaidMessage(
        role="system" if message.role == "developer" else message.role,
        text=text_of(message.content, f"{param}.content"),
        calls=tuple(
            CalledTool(call_id=call.id, tool=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or ()
        ),
        call_id=message.tool_call_id or "",
    )


def _tools(request: ChatRequest) -> tuple[Sequence[CallersTool], Literal["auto", "none", "required"]]:
    tools = [_tool(tool, f"tools[{n}]") for n, tool in enumerate(request.tools or ())]
    match request.tool_choice:
        case None:
            return tools, "auto"
        case ChatToolChoice(type="function", function=NamedFunction(name=name)):
            return chosen(tools, "", name, "tool_choice")
        case ChatToolChoice(type=other):
            return chosen(tools, other, "", "tool_choice")
        case choice:
            return chosen(tools, choice, "", "tool_choice")


def _tool(tool: ChatTool, param: str) -> CallersTool:
    function = tool.function
    if tool.type != "function" or function is None:
        raise Invalid(f"tools of the type {tool.type!r:.60} do not exist here; send functions.", f"{param}.type")
    return CallersTool(name=function.name, description=function.description or "", parameters=function.parameters or {})
