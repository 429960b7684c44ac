"""A model server over HTTP: its completions, its list of models, and its further calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from agentd.host.http import Ask, Outbound, OutboundError, Reply, TooLarge, Waits
from agentd.host.urls import beside
from agentd.models.openai.errors import Explainer, Fault, Refusal
from agentd.models.openai.lenient import mapping, mappings, name, read_json
from agentd.models.openai.request import Dialect

MOST_LIST = 1024 * 1024
"""Bytes of a list of models, or of the reply to a further call."""
MOST_REFUSAL = 64 * 1024
"""Bytes of the reason for a refusal; a longer one is cut."""
LIST_SECONDS = 10.0
MOST_MODELS = 1000
LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where the model is and how to treat it: the keys of `[model.remote]`, and whether to offer it `tools`.

    Times are in seconds; None means the limit of the request. `context` is what the server has for one prompt and its
    answer, in tokens; None means unknown. At most `concurrency` requests run at once. With `pin_slots`, each of them is
    sent to a separate slot of llama-server.
    """

    base_url: str
    name: str | None = None
    api_key: SecretStr | None = None
    dialect: Dialect = "standard"
    context: int | None = None
    tools: bool = True
    concurrency: int = 4
    pin_slots: bool = False
    retries: int = 2
    connect: float = 10.0
    first_token: float | None = None
    idle: float | None = None


class Failed(Exception):
    """A request failed; `begun` says that a part of its answer was passed on."""

    def __init__(self, fault: Fault, *, begun: bool = False) -> None:
        super().__init__(str(fault.error))
        self.fault = fault
        self.begun = begun


def _authorization(key: str) -> str:
    """The Authorization header: `Basic` with name and password in Base64 as it is (RFC 7617), else a bearer key."""
    return key if key.startswith("Basic ") else f"Bearer {key}"


class Server:
    """Asks one endpoint; every fault is a `Failed` that says what to do."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._url = endpoint.base_url
        self._connect = endpoint.connect
        key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        self._headers = {"content-type": "application/json"} | ({"authorization": _authorization(key)} if key else {})
        self.explainer = Explainer(address=self._url, secrets=[key, *_secrets(self._url)])
        self._outbound = Outbound()

    async def close(self) -> None:
        await self._outbound.close()

    @asynccontextmanager
    async def complete(self, body: Mapping[str, Any], *, longest_wait: float) -> AsyncIterator[Reply]:
        """The reply to a completion, once its status says success. The reader has shorter limits of its own."""
        waits = Waits(connect=self._connect, head=longest_wait, piece=longest_wait)
        try:
            async with self._outbound.open(self._ask("/chat/completions", body), waits) as reply:
                if reply.status >= 300:
                    refusal = await _refusal(reply)
                    raise Failed(self.explainer.refused(refusal, model=str(body.get("model"))))
                yield reply
        except OutboundError as error:
            raise Failed(self.explainer.outbound(error)) from None

    async def models(self) -> list[str]:
        """The names of the models that the server lists, in its order."""
        reply, data = await self._read(Ask(url=beside(self._url, "/models"), headers=self._headers))
        refusal = Refusal(status=reply.status, headers=reply.headers, text=data.decode("utf-8", "replace"))
        if reply.status in (404, 405, 501):
            raise Failed(self.explainer.no_model(f"it has no list of them, {reply.status}"))
        if reply.status >= 300:
            raise Failed(self.explainer.refused(refusal))
        return _names(self._json(refusal))

    async def call(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON reply to a call whose path lies beside `/v1`, not below it."""
        parts = urlsplit(self._url)
        root = parts._replace(path=parts.path.rstrip("/").removesuffix("/v1")).geturl()
        reply, data = await self._read(self._ask(path, body, root=root))
        refusal = Refusal(status=reply.status, headers=reply.headers, text=data.decode("utf-8", "replace"))
        if reply.status >= 300:
            raise Failed(self.explainer.refused(refusal))
        return self._json(refusal)

    def _ask(self, path: str, body: Mapping[str, Any], *, root: str = "") -> Ask:
        written = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return Ask(url=beside(root or self._url, path), method="POST", headers=self._headers, body=written)

    async def _read(self, ask: Ask) -> tuple[Reply, bytes]:
        try:
            return await self._outbound.read(ask, most=MOST_LIST, within=LIST_SECONDS, connect=self._connect)
        except OutboundError as error:
            raise Failed(self.explainer.outbound(error)) from None

    def _json(self, reply: Refusal) -> Any:
        try:
            return read_json(reply.text)
        except ValueError:
            raise Failed(self.explainer.no_chunk(reply.said)) from None


async def _refusal(reply: Reply) -> Refusal:
    pieces = []
    with suppress(TooLarge):
        async with aclosing(reply.pieces(MOST_REFUSAL)) as coming:
            async for piece in coming:
                pieces.append(piece)
    text = b"".join(pieces).decode("utf-8", "replace")
    return Refusal(status=reply.status, headers=reply.headers, text=text)


def _names(listed: Any) -> list[str]:
    """OpenAI's form is `{"data": [{"id": …}]}`; others use `models` and `name`, or send the bare list."""
    found = mapping(listed)
    models = next((models for key in ("data", "models") if (models := mappings(found.get(key)))), mappings(listed))
    named = (name(model.get("id") or model.get("name") or model.get("model"), LONGEST_NAME) for model in models)
    return [each for each in named if each][:MOST_MODELS]


def _secrets(url: str) -> list[str]:
    """The secrets in a URL: its password, and the values of its query."""
    try:
        parts = urlsplit(url)
        password = unquote(parts.password or "")
    except ValueError:
        return []
    return [password, *(value for _, value in parse_qsl(parts.query))]
