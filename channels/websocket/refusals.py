"""Errors as HTTP says them: one form for all routes, which is also that of OpenAI's API.

`{"error": {"message": ..., "type": ..., "param": null, "code": ...}}`, where `code` is an error's stable code.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import ceil
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from agentd.errors import AgentdError, TooOften

log = logging.getLogger(__name__)

STATUSES: Mapping[str, int] = {
    "usage": 400,
    "bad_message": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "timeout": 408,
    "conflict": 409,
    "id_reused": 409,
    "too_large": 413,
    "no_document": 415,
    "busy": 429,
    "not_accepted": 503,
    "stopping": 503,
    "state": 503,
}
"""By an error's code; any other one is 500."""
TURNS: Mapping[str, int] = {"prompt_too_long": 400, "internal": 500}
"""By the error with which a turn ended; any other one is 503, because the same question may be answered later."""
CODES: Mapping[int, str] = {
    400: "usage",
    401: "unauthorized",
    404: "not_found",
    405: "usage",
    408: "timeout",
    413: "too_large",
    415: "usage",
    422: "usage",
    503: "busy",
}
"""The code of what no `AgentdError` stands behind."""
RETRY_SECONDS = 1
NO_ROUTE = "there is no such route; docs/api.md and /api/openapi.json list those that there are."
NO_METHOD = "this route does not do {}; docs/api.md and /api/openapi.json list what it does."
NOT_JSON = "the body must be JSON, and say so; send it with the header `Content-Type: application/json`."
MEANINGS: Mapping[int, str] = {
    400: "The request asks for what cannot be done",
    401: "No token came with the request, or one that is not known",
    403: "This may not be done by whoever asks, or not with their token, or another site's page asks",
    404: "There is no such thing, or it is somebody else's",
    408: "The request took too long to arrive",
    409: "The id was used for something else",
    413: "The request is too long",
    415: "There is no text in what was sent, or it was not sent as JSON",
    422: "The request is not of the form that it must have",
    429: "Too much is asked at once; Retry-After says when to come back",
    500: "Something went wrong inside agentd",
    503: "Nothing can be done at the moment; Retry-After says when to come back",
}


class ErrorFields(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class ErrorReply(BaseModel):
    """What went wrong, and what to do: `code` is stable, and `param` the field of the request that is at fault."""

    error: ErrorFields


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": meaning} for status, meaning in MEANINGS.items()
}
"""What a route says in OpenAPI of the errors that it answers with."""
_REPLY = {"type": "object", "required": ["error"], "properties": {"error": ErrorFields.model_json_schema()}}
REFUSALS_OF_STREAMS: dict[int | str, dict[str, Any]] = {
    status: {"content": {"application/json": {"schema": _REPLY}}, "description": meaning}
    for status, meaning in MEANINGS.items()
}
"""The same for a route that answers with events: FastAPI would take a model for one of those."""


def refusal(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, param: str | None = None
) -> JSONResponse:
    """An error's answer; `param` is the field of the request that is at fault."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status, headers=dict(headers or {}))


def refused(error: AgentdError) -> JSONResponse:
    """An error of agentd as an answer."""
    status, param = STATUSES.get(error.code, 500), getattr(error, "param", None)
    return refusal(status, error.code, str(error), _headers(status, error), param)


def unanswered(code: str, message: str) -> JSONResponse:
    """A turn that ended with an error instead of an answer."""
    status = TURNS.get(code, 503)
    return refusal(status, code, message, _headers(status))


def _headers(status: int, error: AgentdError | None = None) -> dict[str, str]:
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = str(ceil(error.seconds) if isinstance(error, TooOften) else RETRY_SECONDS)
    return headers


def lacks_json(request: Request, error: RequestValidationError) -> bool:
    """Whether a body was not understood because the request does not call it JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    return not is_json and any(fault["loc"] == ("body",) and fault["type"] != "missing" for fault in error.errors())


def explain(app: FastAPI) -> None:
    """Have the application answer errors so."""

    @app.exception_handler(AgentdError)
    async def known(request: Request, error: AgentdError) -> JSONResponse:
        return refused(error)

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def nowhere(request: Request, error: HTTPException) -> JSONResponse:
        status = error.status_code
        message = NO_ROUTE if status == 404 else NO_METHOD.format(request.method)
        return refusal(status, CODES[status], message, error.headers)

    # 400 comes as an exception of the library below FastAPI: a body that is no text.
    @app.exception_handler(400)
    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = CODES.get(error.status_code, "error")
        return refusal(error.status_code, code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if lacks_json(request, error):
            return refusal(415, CODES[415], NOT_JSON)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return refusal(422, "usage", f"{where}: {first['msg']}")

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return refusal(500, "internal", "something went wrong inside agentd; its log has the details.")
