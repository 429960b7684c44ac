"""`POST /v1/responses`: what may be asked, as clients send it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from agentd.records import MOST_SAID, MOST_TOOLS, CalledTool, CallersTool, SaidMessage
from channels.websocket.openai.asked import (
    Asked,
    Content,
    Extension,
    FirstFault,
    Form,
    Invalid,
    Lenient,
    Temperature,
    Tokens,
    ToolName,
    TopP,
    chosen,
    terms_of,
    text_of,
)
from channels.websocket.openai.turned import turn_of


class Item(Lenient):
    """A message (the type may be left out), a call of a tool, or its result; `reasoning` is passed over."""

    type: str | None = None
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Content | None = None


class ResponseTool(Lenient):
    """A function that the caller runs; other types of tools are refused."""

    type: str
    name: ToolName | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ResponseToolChoice(Lenient):
    type: str
    name: ToolName | None = None


class Conversation(Lenient):
    id: str


class TextOptions(Lenient):
    format: Form | None = None


class ResponseRequest(Lenient):
    """A request for a response. Fields that are not listed are ignored."""

    model: str
    input: str | Annotated[tuple[Item, ...], FirstFault(), Field(min_length=1, max_length=MOST_SAID)]
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | Conversation | None = None
    tools: Annotated[tuple[ResponseTool, ...], FirstFault(), Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponseToolChoice | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_output_tokens: Tokens | None = None
    text: TextOptions | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    agentd: Extension | None = None

    @property
    def session(self) -> str:
        """The id of the session that `conversation` names; "" for none."""
        return self.conversation.id if isinstance(self.conversation, Conversation) else self.conversation or ""


def response_asked(request: ResponseRequest) -> Asked:
    """What is asked; `Invalid` if it cannot be done."""
    form = request.text.format if request.text is not None else None
    if request.previous_response_id and request.session:
        raise Invalid(
            "a response belongs to one conversation; send previous_response_id or conversation, not both.",
            "conversation",
        )
    tools, calling = _tools(request)
    text, terms = terms_of(
        said_in(request),
        tools=tools,
        calling=calling,
        param="input",
        resumes=turn_of(request.previous_response_id) if request.previous_response_id else "",
        answer_schema=form.answer_schema("text.format") if form is not None else None,
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_output_tokens,
    )
    return Asked(
        model=request.model,
        text=text,
        terms=terms,
        stream=bool(request.stream),
        sources=(request.agentd or Extension()).sources,
    )


def said_in(request: ResponseRequest) -> list[SaidMessage]:
    """The conversation of a request; instructions are what the system says first."""
    said = [SaidMessage(role="system", text=request.instructions)] if request.instructions else []
    if isinstance(request.input, str):
        return [*said, SaidMessage(role="user", text=request.input)]
    for n, item in enumerate(request.input):
        _add(said, item, f"input[{n}]")
    return said


def _add(said: list[SaidMessage], item: Item, param: str) -> None:
    match item.type:
        case "message" | None if item.role is not None:
            role: Literal["system", "user", "assistant"] = "system" if item.role == "developer" else item.role
            said.append(SaidMessage(role=role, text=text_of(item.content, f"{param}.content")))
        case "function_call" if item.call_id is not None and item.name is not None:
            _add_call(said, CalledTool(call_id=item.call_id, tool=item.name, arguments=item.arguments or ""))
        case "function_call_output" if item.call_id is not None:
            text = text_of(item.output, f"{param}.output")
            said.append(SaidMessage(role="tool", text=text, call_id=item.call_id))
        case "reasoning":
            pass
        case "message" | "function_call" | "function_call_output" | None:
            raise Invalid("this item lacks its role, its call_id or its name; send it as it came.", param)
        case other:
            raise Invalid(f"items of the type {other!r:.60} are not understood here.", f"{param}.type")


def _add_call(said: list[SaidMessage], call: CalledTool) -> None:
    """Calls that follow each other were made at once, by the message before them if that is the assistant's."""
    newest = said[-1] if said else None
    if newest is not None and newest.role == "assistant":
        said[-1] = newest.model_copy(update={"calls": (*newest.calls, call)})
    else:
        said.append(SaidMessage(role="assistant", calls=(call,)))


def _tools(request: ResponseRequest) -> tuple[Sequence[CallersTool], Literal["auto", "none", "required"]]:
    tools = [_tool(tool, f"tools[{n}]") for n, tool in enumerate(request.tools or ())]
    match request.tool_choice:
        case None:
            return tools, "auto"
        case ResponseToolChoice(type="function", name=str(name)):
            return chosen(tools, "", name, "tool_choice")
        case ResponseToolChoice(type=other):
            return chosen(tools, other, "", "tool_choice")
        case choice:
            return chosen(tools, choice, "", "tool_choice")


def _tool(tool: ResponseTool, param: str) -> CallersTool:
    if tool.type != "function" or tool.name is None:
        raise Invalid(f"tools of the type {tool.type!r:.60} do not exist here; send functions.", f"{param}.type")
    return CallersTool(name=tool.name, description=tool.description or "", parameters=tool.parameters or {})
