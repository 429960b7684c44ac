"""What a server turned out to take and not to take: found out from how it refused, and remembered while we run."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentd.models.openai.errors import LEAST_CONTEXT, Refusal
from agentd.models.openai.lenient import mapping

log = logging.getLogger(__name__)

SYSTEM, ALTERNATION = "messages of the system", "two messages of one side in a row"
"""What some chat templates refuse; told in the same words as the parameters that a server refuses."""
LONGEST = ("max_tokens", "max_completion_tokens")
"""Two names of one parameter."""
_OPTIONAL: Mapping[str, re.Pattern[str]] = {
    "tools": re.compile(r"\btools?\b|\bfunction[ _-]?call", re.IGNORECASE),
    "response_format": re.compile(r"\bresponse_format\b|\bjson_schema\b|\bstructured output", re.IGNORECASE),
    # Words that stand in other refusals as well must be quoted.
    "stop": re.compile(r"['\"`]stop['\"`]"),
    "seed": re.compile(r"['\"`]seed['\"`]|\bseed (is|parameter)\b"),
}
_STATUS = (400, 404, 422, 500, 501)
_UNABLE = re.compile(r"support|requires?\b|unrecogni[sz]ed|unknown|unexpected|not allowed", re.IGNORECASE)
"""What a server says that fails (500, 501) for what it was given, and not for what befell it."""
_NO_SYSTEM = re.compile(
    r"system['\"]? (role|message|prompt)s?\b.{0,40}\bnot (be )?(supported|allowed)|not support (the )?['\"]?system\b",
    re.IGNORECASE,
)
_ALTERNATE = re.compile(r"\bmust alternate\b|\balternating\b", re.IGNORECASE)
_NO_CHAT = re.compile(r"not support (chat|generate|completion)|not a chat model|embedding", re.IGNORECASE)
_UNKNOWN = re.compile(r"\bmodel\b.{0,300}(not found|not exist|unknown|not loaded|no such|not available)", re.IGNORECASE)
_NO_CHAT_NAME = re.compile(
    r"embed|rerank|\bbge\b|\bgte\b|\be5\b|minilm|whisper|\btts\b|moderation|dall-e|stable-diffusion|\bclip\b|transcri",
    re.IGNORECASE,
)


class Habits:
    """Of one server; `name` is the model to ask for, None until the server's list was read, `fixed` one that is set."""

    def __init__(self, *, fixed: str | None, context: int | None) -> None:
        self.name = fixed
        self._fixed = fixed is not None
        self.context = context
        self.refused: frozenset[str] = frozenset()
        """Parameters that are left out, `SYSTEM` and `ALTERNATION`."""
        self.thinks = False
        """Its answers begin with thoughts whose beginning is not marked."""
        self._unfit: set[str] = set()

    def choose(self, offered: Sequence[str]) -> str | None:
        """The first model on the server's list that may be one to talk to; remembered until the server refuses it."""
        fit = [name for name in offered if name not in self._unfit]
        self.name = next((name for name in fit if not _NO_CHAT_NAME.search(name)), next(iter(fit), None))
        return self.name

    def learn_context(self, claimed: int) -> None:
        """What a server says that it has; an absurd claim is good for one request and not remembered."""
        if claimed > LEAST_CONTEXT:
            self.context = min(claimed, self.context or claimed)

    def learn(self, refusal: Refusal, body: Mapping[str, Any]) -> bool:
        """Whether the same question may be answered if it is asked in another way, now that this is known."""
        said = refusal.said
        return self._learn_name(refusal.status, said, str(body.get("model"))) or self._learn_form(refusal, said, body)

    def _learn_name(self, status: int, said: str, asked: str) -> bool:
        """Of a model that we chose: it cannot chat, or is no longer there."""
        if self._fixed or status not in _STATUS:
            return False
        if _NO_CHAT.search(said):
            self._unfit.add(asked)
        elif status != 404 and not _UNKNOWN.search(said):
            return False
        if self.name == asked:
            self.name = None
        return True

    def _learn_form(self, refusal: Refusal, said: str, body: Mapping[str, Any]) -> bool:
        if refusal.status not in _STATUS:
            return False
        if (found := _named(refusal, said, body)) is None or found in self.refused:
            return False
        if refusal.status >= 500 and found not in (SYSTEM, ALTERNATION) and not _UNABLE.search(said):
            return False
        self.refused |= {found}
        log.warning("the model server refuses %s (%d); requests leave that out from now on", found, refusal.status)
        return True


def adapted(body: Mapping[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    """The body of a request without what the server refuses; the longest answer is called by its other name."""
    fitting = {key: value for key, value in body.items() if key not in refused}
    for name, other in (LONGEST, LONGEST[::-1]):
        if name in body and name in refused and other not in refused:
            fitting[other] = body[name]
    if SYSTEM in refused:
        fitting["messages"] = _without_system(fitting["messages"])
    if ALTERNATION in refused:
        fitting["messages"] = _alternating(fitting["messages"])
    return fitting


def _named(refusal: Refusal, said: str, body: Mapping[str, Any]) -> str | None:
    """What a refusal is about, of what was sent and may be left out."""
    error = mapping(mapping(refusal.body).get("error")) or mapping(refusal.body)
    optional = [key for key in body if key not in ("model", "messages", "stream")]
    if (named := re.split(r"[.\[]", str(error.get("param")), maxsplit=1)[0]) in optional:
        return named
    if _NO_SYSTEM.search(said):
        return SYSTEM
    if _ALTERNATE.search(said):
        return ALTERNATION
    told = f"{said} {_places(refusal.body)}"
    return next((key for key in optional if _pattern(key).search(told)), None)


def _places(body: object) -> str:
    """The names of fields in the errors of FastAPI: `{"detail": [{"loc": ["body", "top_p"], …}]}`."""
    details = mapping(body).get("detail")
    places = [mapping(detail).get("loc") for detail in details[:20]] if isinstance(details, list) else []
    return " ".join(f"{part!r}" for place in places if isinstance(place, list) for part in place[:5])


def _pattern(key: str) -> re.Pattern[str]:
    return _OPTIONAL.get(key) or re.compile(rf"\b{re.escape(key)}\b")


def _without_system(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the system says becomes the beginning of the next message of the user."""
    fitting: list[dict[str, Any]] = []
    waiting = ""
    for message in messages:
        if message["role"] == "system":
            waiting += f"{message['content']}\n\n"
        elif message["role"] == "user" and waiting:
            fitting.append({**message, "content": waiting + message["content"]})
            waiting = ""
        else:
            fitting.append(message)
    return [*fitting, {"role": "user", "content": waiting}] if waiting else fitting


def _alternating(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one side become one message; what the assistant says first is dropped."""
    fitting: list[dict[str, Any]] = []
    for message in messages:
        last = fitting[-1] if fitting else {"role": ""}
        if message["role"] == last["role"] and message["role"] in ("user", "assistant") and _is_text(last, message):
            fitting[-1] = {**last, "content": f"{last['content']}\n\n{message['content']}"}
        elif not (message["role"] == "assistant" and last["role"] in ("", "system")):
            fitting.append(message)
    return fitting


def _is_text(*messages: Mapping[str, Any]) -> bool:
    return all(isinstance(message.get("content"), str) and "tool_calls" not in message for message in messages)
