"""The routes of OpenAI's API under `/v1`; see docs/openai.md for what they do and what they do not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from agentd.errors import AgentdError
from agentd.serving import protocol
from channels.websocket.authentication import Visiting
from channels.websocket.gateway import Gateway, gateway_of
from channels.websocket.openai.asked import Invalid
from channels.websocket.openai.chat import ChatRequest, chat_asked
from channels.websocket.openai.completion import ChatCompletion, ChatReply
from channels.websocket.openai.embeddings import EmbeddingRequest, NoEmbedder
from channels.websocket.openai.exchange import Exchange
from channels.websocket.openai.line import SESSION
from channels.websocket.openai.models import AGENTD, Model, ModelList, known_model, models
from channels.websocket.openai.posting import Order
from channels.websocket.openai.respond import ResponseRequest, response_asked
from channels.websocket.openai.response import DeletedResponse, Reported, ResponseObject, Status, status_of
from channels.websocket.openai.response_stream import ResponseReply
from channels.websocket.openai.turned import Turned, fetched
from channels.websocket.refusals import ErrorReply, lacks_json


class Conflict(AgentdError):
    """What is there does not let this be done."""

    code = "conflict"


class OpenAIRoute(APIRoute):
    """A request that is not of the right form is a 400, as OpenAI's clients expect it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                if lacks_json(request, error):
                    raise
                first = error.errors()[0]
                param = ".".join(str(part) for part in first["loc"][1:])
                raise Invalid(f"{param or 'the request'}: {first['msg']}", param) from None

        return handler


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": description}
    for status, description in {
        400: "The request is not of a form that is understood, or asks for what is not done here",
        401: "No token came with the request, or one that is not known",
        403: "The token is not good for this, or the request came from another site",
        404: "There is no such model, session or response",
        408: "The request took too long to arrive",
        409: "The Idempotency-Key was used for another request, or something else stands in the way",
        413: "The request is too long",
        415: "The request was not sent as JSON",
        429: "Too much is asked at once; Retry-After says when to come back",
        500: "Something went wrong inside agentd",
        503: "Nothing can be answered at the moment; Retry-After says when to come back",
    }.items()
} | {"default": {"model": ErrorReply, "description": "Any other error"}}
STREAM = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}

router = APIRouter(prefix="/v1", tags=["openai"], route_class=OpenAIRoute, responses=REFUSALS)


House = Annotated[Gateway, Depends(gateway_of)]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=protocol.MAX_ID,
        description="the same request under the same key is one question, however often it comes",
    ),
]
Session = Annotated[
    str,
    Header(
        alias=SESSION,
        max_length=protocol.MAX_ID,
        description="the id or the name of a session that goes on with the newest message of the user",
    ),
]
ResponseId = Annotated[str, Path(max_length=protocol.MAX_ID)]


@router.post("/chat/completions", response_model=ChatCompletion, responses={200: STREAM})
async def create_chat_completion(
    request: ChatRequest, visitor: Visiting, gateway: House, key: Key = "", session: Session = ""
) -> Response:
    """Answer a conversation, whole or as a stream of chunks."""
    asked = chat_asked(request)
    order = Order(asked=asked, session=session, key=key, stays=bool(key or session))
    return Exchange(gateway, visitor.caller, order, lambda turned: ChatReply(turned, usage=asked.usage))


@router.post("/responses", response_model=ResponseObject, responses={200: STREAM})
async def create_response(
    request: ResponseRequest, visitor: Visiting, gateway: House, key: Key = "", session: Session = ""
) -> Response:
    """Answer a question or a conversation, whole, as a stream of events, or in the background."""
    if session and (request.previous_response_id or request.session):
        raise Invalid(f"send {SESSION}, conversation or previous_response_id, and only one of them.", SESSION)
    order = Order(
        asked=response_asked(request),
        session=session or request.session,
        previous=request.previous_response_id or "",
        key=key,
        stays=bool(key or session or request.background),
    )
    return Exchange(gateway, visitor.caller, order, lambda turned: ResponseReply(turned, request))


@router.get("/responses/{response_id}")
async def get_response(response_id: ResponseId, visitor: Visiting, gateway: House) -> ResponseObject:
    """A response as it is now, for as long as its session and its answer are kept."""
    async with gateway.clients.visit(visitor.caller) as visit:
        found = await fetched(visit, response_id)
        created = int(found.time.timestamp())
        turned = Turned(turn=found.turn, session=found.session, model=AGENTD, created=created)
        if found.state != "ended":
            status: Status = "queued" if found.state == "queued" else "in_progress"
            return Reported(turned=turned, request=None, status=status).shown()
        answer = await visit.hear()
        assert isinstance(answer, protocol.Answer)
        return Reported(turned=turned, request=None, status=status_of(answer), answer=answer).shown()


@router.delete("/responses/{response_id}")
async def delete_response(response_id: ResponseId, visitor: Visiting, gateway: House) -> DeletedResponse:
    """Delete a response with its question, unless it is a part of a longer conversation."""
    async with gateway.clients.visit(visitor.caller) as visit:
        found = await fetched(visit, response_id)
        told = await visit.ask(protocol.Get(id="of", what="sessions", session=found.session), protocol.Told)
        (session,) = protocol.SessionList.model_validate(told.data).sessions
        if session.messages > 2:
            raise Conflict(
                f"this response is a part of session {found.session}; delete that with all that was said in it: "
                f"`DELETE /api/sessions/{found.session}`."
            )
        await visit.ask(protocol.Delete(id="delete", session=found.session), protocol.Told)
    return DeletedResponse(id=response_id)


@router.head("/models", include_in_schema=False)
@router.get("/models")
async def list_models(visitor: Visiting, gateway: House) -> ModelList:
    """`agentd`, which answers from the documents, and the model behind it by its name, which gets nothing else."""
    async with gateway.clients.visit(visitor.caller) as visit:
        return ModelList(data=await models(visit))


@router.get("/models/{name:path}")
async def get_model(name: Annotated[str, Path(max_length=500)], visitor: Visiting, gateway: House) -> Model:
    async with gateway.clients.visit(visitor.caller) as visit:
        return await known_model(visit, name)


@router.post("/embeddings", status_code=404, response_model=ErrorReply)
async def create_embeddings(request: EmbeddingRequest, visitor: Visiting) -> Response:
    """There is no model that makes vectors of texts, which is said as a 404."""
    raise NoEmbedder
