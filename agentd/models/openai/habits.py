"""What a server accepts and what it refuses: learned from its refusals, and remembered while the daemon runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentd.models.openai.errors import LEAST_CONTEXT, Refusal
from agentd.models.openai.lenient import mapping

log = logging.getLogger(__name__)

SYSTEM, ALTERNATION = "system messages", "two messages in a row from the same side"
"""What some chat templates refuse; used in log messages like the names of refused parameters."""
LONGEST = ("max_tokens", "max_completion_tokens")
"""Two names of the same parameter."""
_OPTIONAL: Mapping[str, re.Pattern[str]] = {
    "tools": re.compile(r"\btools?\b|\bfunction[ _-]?call", re.IGNORECASE),
    "response_format": re.compile(r"\bresponse_format\b|\bjson_schema\b|\bstructured output", re.IGNORECASE),
    # These words occur in other refusals too, so they count only in quotes.
    "stop": re.compile(r"['\"`]stop['\"`]"),
    "seed": re.compile(r"['\"`]seed['\"`]|\bseed (is|parameter)\b"),
}
_STATUS = (400, 404, 422, 500, 501)
_UNABLE = re.compile(r"support|requires?\b|unrecogni[sz]ed|unknown|unexpected|not allowed", re.IGNORECASE)
"""How a server that fails (500, 501) words it if the request was the reason."""
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
    """The habits of one server. `fixed` is the model that is set, if any.

    `name` is the model to ask for; None until the server's list was read.
    """

    def __init__(self, *, fixed: str | None, context: int | None) -> None:
        self.name = fixed
        self._fixed = fixed is not None
        self.context = context
        self.refused: frozenset[str] = frozenset()
        """Parameters that are left out; also `SYSTEM` and `ALTERNATION`."""
        self.thinks = False
        """Its answers begin with reasoning whose beginning is not marked."""
        self._unfit: set[str] = set()

    def choose(self, offered: Sequence[str]) -> str | None:
        """The first model on the server's list that looks like a chat model; kept until the server refuses it."""
        fit = [name for name in offered if name not in self._unfit]
        self.name = next((name for name in fit if not _NO_CHAT_NAME.search(name)), next(iter(fit), None))
        return self.name

    def learn_context(self, claimed: int) -> None:
        """Remember the context that a server claims; an absurd claim counts for one request only."""
        if claimed > LEAST_CONTEXT:
            self.context = min(claimed, self.context or claimed)

    def learn(self, refusal: Refusal, body: Mapping[str, Any]) -> bool:
        """Learn from a refusal; whether it makes sense to ask again in another form."""
        said = refusal.said
        return self._learn_name(refusal.status, said, str(body.get("model"))) or self._learn_form(refusal, said, body)

    def _learn_name(self, status: int, said: str, asked: str) -> bool:
        """The model that we chose cannot chat, or no longer exists."""
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
    """The body of a request without what the server refuses; the limit on tokens gets its other name if need be."""
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
    """What was sent, may be left out, and is the subject of the refusal; None if nothing is."""
    error = mapping(mapping(refusal.body).get("error")) or mapping(refusal.body)
    optional = [key for key in body if key not in ("model", "messages", "stream")]
    if (named := re.split(r"[.\[]", str(error.get("param")), maxsplit=1)[0]) in optional:
        return named
    if _NO_SYSTEM.search(said):
        return SYSTEM
    if _ALTERNATE.search(said):
        return ALTERNATION
    text = f"{said} {_fields(refusal.body)}"
    return next((key for key in optional if _pattern(key).search(text)), None)


def _fields(body: object) -> str:
    """The names of fields in the errors of FastAPI: `{"detail": [{"loc": ["body", "top_p"], …}]}`."""
    details = mapping(body).get("detail")
    paths = [mapping(detail).get("loc") for detail in details[:20]] if isinstance(details, list) else []
    return " ".join(f"{part!r}" for path in paths if isinstance(path, list) for part in path[:5])


def _pattern(key: str) -> re.Pattern[str]:
    return _OPTIONAL.get(key) or re.compile(rf"\b{re.escape(key)}\b")


def _without_system(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each system message becomes the beginning of the next user message."""
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
    """Neighbouring messages of the same side become one; an assistant message before any question is dropped."""
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
