"""What went wrong at an endpoint, in words that say what to do, and whether repeating the request may help."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

from agentd.errors import ModelError, ModelUnavailable, PromptTooLong
from agentd.models.openai.answer import error_text

LONGEST_QUOTE = 300
"""Characters of a server's own words in a message of ours."""
PASSING = (408, 409, 425, 429)
"""Besides 500 and above: status codes with which the same request may be answered a little later."""
_CONTEXT = re.compile(r"maximum context length is (\d+)")
"""How OpenAI and vLLM say it; llama-server has a field for it (https://github.com/ggml-org/llama.cpp/pull/15780)."""
_TOO_LONG = re.compile(r"context (size|length|window)", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """`pause` is how many seconds to wait at least before the request is repeated; None = repeating is no use."""

    error: ModelError
    pause: float | None


class Explainer:
    """Puts the faults of one endpoint into words; `secret` never appears in them."""

    def __init__(self, *, address: str, model: str, secret: str) -> None:
        self.address = _PASSWORD.sub("", address)
        self.model = model
        self._secret = secret

    def explain(self, error: APIError) -> Fault:
        """Any error of the client."""
        match error:
            case APIStatusError():
                return self._status(error)
            case APITimeoutError():
                return self._unreachable("it did not answer in time")
            case APIConnectionError():
                return self._unreachable(self._quote(str(error.__cause__ or error)))
            case _:
                said = self._quote(error_text(error.body) or error.message)
                return Fault(error=ModelUnavailable(f"The model server at {self.address} failed: {said}"), pause=0.0)

    def cut_off(self) -> Fault:
        """The answer ended without its end."""
        text = f"The model server at {self.address} ended in the middle of an answer; look at its log."
        return Fault(error=ModelUnavailable(text), pause=0.0)

    def no_chunk(self, why: str) -> Fault:
        """The server answers, but in another language."""
        text = (
            f"What answers at {self.address} does not speak OpenAI's chat completions ({self._quote(why)});"
            " check model.remote.base_url, which for most servers ends in /v1."
        )
        return Fault(error=ModelUnavailable(text), pause=None)

    def withheld(self) -> Fault:
        text = f"The model server at {self.address} withheld the answer (its content filter); ask in other words."
        return Fault(error=ModelError(text), pause=None)

    def no_model(self) -> Fault:
        text = f"The model server at {self.address} offers no model; load one there, or set model.remote.name."
        return Fault(error=ModelUnavailable(text), pause=None)

    def _unreachable(self, why: str) -> Fault:
        text = (
            f"The model server at {self.address} cannot be reached ({why});"
            " check that it runs, and model.remote.base_url."
        )
        return Fault(error=ModelUnavailable(text), pause=0.0)

    def _status(self, error: APIStatusError) -> Fault:
        code, said = error.status_code, self._quote(error_text(error.body) or error.message)
        if code in (401, 403):
            return self._lasting(f"refused our key ({code}): {said}; set model.remote.api_key.")
        if code == 404:
            advice = "check model.remote.name, and that model.remote.base_url ends in the right path"
            return self._lasting(f"knows no model {self.model!r} there ({code}): {said}; {advice}.")
        if code == 429 and "quota" in said.lower():
            return self._lasting(f"takes no more requests ({code}): {said}; look at the account's quota.")
        if code == 413 or (_TOO_LONG.search(said) and code != 429):
            return self._too_long(code, said, _context(error.body, said))
        if code in PASSING or code >= 500:
            trouble = "is overloaded" if code in (429, 503) else "failed"
            text = f"The model server at {self.address} {trouble} ({code}): {said}; try again later."
            return Fault(error=ModelUnavailable(text), pause=_retry_after(error.response.headers))
        text = (
            f"The model server at {self.address} refused the request ({code}): {said};"
            " check the settings under [model.remote]."
        )
        return Fault(error=ModelError(text), pause=None)

    def _too_long(self, code: int, said: str, context: int | None) -> Fault:
        text = (
            f"The prompt is too long for the model server at {self.address} ({code}): {said}; shorten the question, or"
            " set model.remote.context to the context that the server was started with."
        )
        return Fault(error=PromptTooLong(text, context=context), pause=None)

    def _lasting(self, what: str) -> Fault:
        return Fault(error=ModelUnavailable(f"The model server at {self.address} {what}"), pause=None)

    def _quote(self, text: str) -> str:
        """A server's words: on one line, not too long, without our key."""
        if self._secret:
            text = text.replace(self._secret, "********")
        text = " ".join(_PASSWORD.sub("", text).split()).rstrip(".;")
        return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…"


def _context(body: object, said: str) -> int | None:
    """The tokens of the model's context, where the server names them."""
    named = body.get("n_ctx") if isinstance(body, dict) else None
    if isinstance(named, int) and named > 0:
        return named
    return int(match[1]) if (match := _CONTEXT.search(said)) else None


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3); a date, which servers of models do not send, counts as 0."""
    try:
        return max(0.0, float(headers.get("retry-after", "0")))
    except ValueError:
        return 0.0
