"""What went wrong at an endpoint, what to do about it, and whether it may help to repeat the request."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from agentd.errors import ModelError, ModelUnavailable, PromptTooLong
from agentd.host.http import CutOff, Forbidden, OutboundError, Unreached
from agentd.host.urls import shown
from agentd.models.openai.answer import error_code, error_text
from agentd.models.openai.lenient import mapping, number, read_json
from agentd.text.characters import whole
from agentd.text.plain import plain

LONGEST_QUOTE = 300
"""Characters that a message of ours quotes from a server."""
READ = 4000
"""Characters of a server's reply that are examined."""
LEAST_CONTEXT = 1024
"""Tokens; if a server claims a smaller context, that is not believed, because no model has so few."""
PASSING = (408, 409, 425, 429)
"""Status codes below 500 after which the same request may succeed a little later."""
PART = 8
"""A part of a secret of so many characters is secret, too."""
_CONTEXT = re.compile(
    r"(?:maximum context length is|context (?:size|length|window) (?:of|is)) (\d{1,9})\b", re.IGNORECASE
)
"""The wording of OpenAI, vLLM and others; llama-server has a field for it: https://github.com/ggml-org/llama.cpp/pull/15780"""
_TOO_LONG = re.compile(r"context (size|length|window)|prompt is too long", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)[^/\s@]{1,200}@")
_TITLE = re.compile(r"<title>([^<]{1,200})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A reply with a refusing status: its headers, and as much of its body as is worth reading."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def body(self) -> object:
        """The reply as JSON; None if it is not JSON."""
        try:
            return read_json(self.text)
        except ValueError:
            return None

    @property
    def said(self) -> str:
        """The server's words; if it sent a web page, the title."""
        if said := error_text(self.body):
            return said
        if "<" in self.text:
            return match[1] if (match := _TITLE.search(self.text[:READ])) else "a web page"
        return self.text[:READ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """`pause` is the minimum number of seconds before the request is repeated; None means that repeating is useless."""

    error: ModelError
    pause: float | None
    refusal: Refusal | None = None
    """The server's reply, if the fault is that it refused."""


class Explainer:
    """Explains the faults of one endpoint; none of the `secrets`, nor a part of one, appears in an explanation."""

    def __init__(self, *, address: str, secrets: Collection[str]) -> None:
        self.address = shown(address)
        self._short = [secret for secret in secrets if 0 < len(secret) < PART]
        self._parts = {secret[n : n + PART] for secret in secrets for n in range(len(secret) - PART + 1)}

    def outbound(self, error: OutboundError) -> Fault:
        """The exchange itself failed."""
        said = self._quote(str(error))
        match error:
            case Forbidden():
                return self._unavailable(f"{said}; check model.remote.base_url.", pause=None)
            case Unreached():
                return self._unavailable(f"{said}; check that it runs, and model.remote.base_url.", pause=0.0)
            case CutOff():
                return self._unavailable(f"ended in the middle of an answer ({said}); look at its log.", pause=0.0)
            case _:
                return self._unavailable(f"{said}, which is not an answer; check model.remote.base_url.", pause=None)

    def cut_off(self) -> Fault:
        """The stream ended before the answer did."""
        return self._unavailable("ended in the middle of an answer; look at its log.", pause=0.0)

    def failed(self, body: object) -> Fault:
        """The server reported an error in a reply whose status says success."""
        if (code := error_code(body)) is not None:
            return self.refused(Refusal(status=code), body)
        return self._unavailable(f"failed: {self._words(error_text(body))}", pause=0.0)

    def no_chunk(self, why: str) -> Fault:
        """The server answers, but not with chat completions."""
        text = (
            f"The server at {self.address} does not speak OpenAI's chat completions ({self._words(why)});"
            " check model.remote.base_url, which for most servers ends in /v1."
        )
        return Fault(error=ModelUnavailable(text), pause=None)

    def withheld(self) -> Fault:
        text = f"The model server at {self.address} withheld the answer (its content filter); ask in other words."
        return Fault(error=ModelError(text), pause=None)

    def no_model(self, why: str = "") -> Fault:
        reason = f" ({self._quote(why)})" if why else ""
        return self._unavailable(f"offers no model{reason}; load one there, or set model.remote.name.", pause=None)

    def refused(self, refusal: Refusal, body: object = None, *, model: str = "") -> Fault:
        """A status of 400 and above."""
        body = body if body is not None else refusal.body
        code, said = refusal.status, self._words(error_text(body) or refusal.said)
        if code in (401, 403):
            fault = self._unavailable(f"refused the key ({code}): {said}; set model.remote.api_key.", pause=None)
        elif code == 404:
            advice = "check model.remote.name, and that model.remote.base_url ends in the right path"
            fault = self._unavailable(
                f"does not have the model {plain(model)!r} ({code}): {said}; {advice}.", pause=None
            )
        elif code == 402 or (code == 429 and "quota" in said.lower()):
            advice = "look at the account's quota"
            fault = self._unavailable(f"accepts no more requests ({code}): {said}; {advice}.", pause=None)
        elif code == 413 or (_TOO_LONG.search(said) and code != 429):
            fault = self._too_long(code, said, _context(body, said))
        elif code in PASSING or code >= 500:
            trouble = "is overloaded" if code in (429, 503) else "failed"
            pause = _retry_after(refusal.headers)
            fault = self._unavailable(f"{trouble} ({code}): {said}; try again later.", pause=pause)
        else:
            text = f"The model server at {self.address} refused the request ({code}): {said};"
            fault = Fault(error=ModelError(f"{text} check the settings under [model.remote]."), pause=None)
        return Fault(error=fault.error, pause=fault.pause, refusal=refusal)

    def _too_long(self, code: int, said: str, context: int | None) -> Fault:
        text = (
            f"The prompt is too long for the model server at {self.address} ({code}): {said}; shorten the question, or"
            " set model.remote.context to the context that the server was started with."
        )
        return Fault(error=PromptTooLong(text, context=context), pause=None)

    def _unavailable(self, what: str, *, pause: float | None) -> Fault:
        return Fault(error=ModelUnavailable(f"The model server at {self.address} {what}"), pause=pause)

    def _words(self, said: str) -> str:
        return self._quote(said) or "it does not say why"

    def _quote(self, text: str) -> str:
        """A server's words on one line, shortened, with valid characters and without our key or a part of it."""
        text = " ".join(plain(_PASSWORD.sub("", whole(self._masked(text[:READ])))).split()).rstrip(".;")
        return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…"

    def _masked(self, text: str) -> str:
        for secret in self._short:
            text = text.replace(secret, "********")
        shown, end = [], 0
        for n in range(len(text)):
            if text[n : n + PART] in self._parts:
                shown += ["********"] if n >= end else []
                end = n + PART
            elif n >= end:
                shown.append(text[n])
        return "".join(shown)


def _context(body: object, said: str) -> int | None:
    """The model's context in tokens, if the server names it; `LEAST_CONTEXT` if the claim is absurd."""
    for part in (mapping(mapping(body).get("error")), mapping(body)):
        named = number(part.get("n_ctx"))
        if named is not None:
            return max(named, LEAST_CONTEXT)
    return max(int(match[1]), LEAST_CONTEXT) if (match := _CONTEXT.search(said)) else None


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3); a date, which model servers do not send, counts as 0."""
    try:
        return max(0.0, float(headers.get("retry-after", "0")))
    except ValueError:
        return 0.0
