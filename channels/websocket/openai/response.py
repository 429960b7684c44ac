"""The replies of `/v1/responses`: the object of a response, and the events of a stream in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from agentd.serving.protocol import Answer
from channels.websocket.openai.respond import ResponseRequest
from channels.websocket.openai.sources import marks
from channels.websocket.openai.turned import AgentdFields, Turned, fields_of, response_id, usage_of

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed"]


class FileCitation(BaseModel):
    """`index` is where in the text the number of the source stands, in characters."""

    type: Literal["file_citation"] = "file_citation"
    index: int
    file_id: str
    filename: str


class OutputText(BaseModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: Sequence[FileCitation] = ()
    logprobs: Sequence[Any] = ()


class OutputMessage(BaseModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Literal["in_progress", "completed", "incomplete"]
    content: Sequence[OutputText]


class OutputCall(BaseModel):
    id: str
    type: Literal["function_call"] = "function_call"
    status: Literal["in_progress", "completed"] = "completed"
    call_id: str
    name: str
    arguments: str


class InputDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(BaseModel):
    reasoning_tokens: int = 0


class ResponseUsage(BaseModel):
    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseFault(BaseModel):
    code: str
    message: str


class Incomplete(BaseModel):
    """Why the text ends early; `reason` is null if somebody stopped it."""

    reason: Literal["max_output_tokens"] | None = None


class ConversationId(BaseModel):
    """The session in which the response stands."""

    id: str


class ResponseObject(BaseModel):
    """A response. What the request said is repeated in the reply to it alone; agentd does not keep it."""

    id: str
    object: Literal["response"] = "response"
    created_at: int = Field(description="seconds since 1970")
    status: Status
    background: bool = False
    error: ResponseFault | None = None
    incomplete_details: Incomplete | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    model: str
    output: Sequence[Annotated[OutputMessage | OutputCall, Field(discriminator="type")]] = ()
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    conversation: ConversationId
    store: bool = True
    temperature: float | None = None
    tool_choice: Any = "auto"
    tools: Sequence[Any] = ()
    top_p: float | None = None
    text: dict[str, Any] = {"format": {"type": "text"}}
    usage: ResponseUsage | None = None
    metadata: dict[str, str] = {}
    agentd: AgentdFields


class DeletedResponse(BaseModel):
    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """A response as it is at one moment; `request` is None if it is not known any more."""

    turned: Turned
    request: ResponseRequest | None
    status: Status
    answer: Answer | None = None

    def shown(self) -> ResponseObject:
        known = _of(self.request) if self.request is not None else {}
        turned, answer = self.turned, self.answer
        return ResponseObject(
            id=response_id(turned.turn),
            created_at=turned.created,
            status=self.status,
            error=_fault(answer),
            incomplete_details=_incomplete(answer),
            model=turned.model,
            output=output_of(turned, answer) if answer is not None else (),
            conversation=ConversationId(id=turned.session),
            usage=response_usage(answer) if answer is not None else None,
            agentd=fields_of(turned, answer),
            **known,
        )


def _of(request: ResponseRequest) -> dict[str, Any]:
    """What a response repeats of its request."""
    said = request.model_dump(mode="json", include={"instructions", "max_output_tokens", "temperature", "top_p"})
    choice = request.tool_choice
    return {
        **said,
        "background": bool(request.background),
        "previous_response_id": request.previous_response_id,
        "tool_choice": choice if isinstance(choice, str) else choice.model_dump() if choice else "auto",
        "tools": [{"strict": False, **tool.model_dump()} for tool in request.tools or ()],
        "metadata": request.metadata or {},
    }


def status_of(answer: Answer) -> Status:
    if answer.outcome == "error":
        return "failed"
    return "incomplete" if answer.outcome == "interrupted" or answer.cut_off else "completed"


def _fault(answer: Answer | None) -> ResponseFault | None:
    if answer is None or answer.outcome != "error":
        return None
    return ResponseFault(code="server_error", message=answer.text)


def _incomplete(answer: Answer | None) -> Incomplete | None:
    if answer is None or status_of(answer) != "incomplete":
        return None
    return Incomplete(reason="max_output_tokens" if answer.cut_off else None)


def response_usage(answer: Answer) -> ResponseUsage:
    used = usage_of(answer)
    return ResponseUsage(
        input_tokens=used.prompt_tokens,
        input_tokens_details=InputDetails(cached_tokens=used.cached_tokens),
        output_tokens=used.completion_tokens,
        output_tokens_details=OutputDetails(),
        total_tokens=used.prompt_tokens + used.completion_tokens,
    )


def output_of(turned: Turned, answer: Answer) -> list[OutputMessage | OutputCall]:
    """A message, unless only tools were called or there is an error; then the calls."""
    output: list[OutputMessage | OutputCall] = []
    if answer.outcome != "error" and (answer.text or not answer.calls):
        output.append(message_of(turned, answer))
    return [*output, *calls_of(turned, answer)]


def message_of(turned: Turned, answer: Answer) -> OutputMessage:
    text = turned.text(answer)
    cited = [
        FileCitation(index=index, file_id=source.source, filename=source.title or source.source)
        for index, source in marks(answer.text, answer.citations)
    ]
    status: Literal["completed", "incomplete"] = "incomplete" if status_of(answer) == "incomplete" else "completed"
    content = OutputText(text=text, annotations=cited)
    return OutputMessage(id=message_id(turned), status=status, content=(content,))


def message_id(turned: Turned) -> str:
    return f"msg_{turned.turn}"


def calls_of(turned: Turned, answer: Answer) -> list[OutputCall]:
    return [
        OutputCall(id=f"fc_{turned.turn}-{n}", call_id=call.call_id, name=call.tool, arguments=call.arguments)
        for n, call in enumerate(answer.calls)
    ]
