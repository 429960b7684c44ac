"""Each fault says what happened and what to do, and never the key."""

from __future__ import annotations

import httpx2
import pytest
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

from agentd.errors import ModelUnavailable, PromptTooLong
from agentd.models.openai.errors import LONGEST_QUOTE, Explainer

ASKED = httpx2.Request("POST", "http://host/v1/chat/completions")
EXPLAINER = Explainer(address="http://me:pw@host/v1", model="small", secret="sk-secret")


def status(code: int, message: str = "no", **headers: str) -> APIStatusError:
    response = httpx2.Response(code, request=ASKED, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return APIStatusError(message, response=response, body={"message": message})


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (401, "no", "refused our key (401): no; set model.remote.api_key."),
        (403, "no", "set model.remote.api_key"),
        (404, "no", "knows no model 'small' there (404)"),
        (429, "You exceeded your current quota", "look at the account's quota"),
        (400, "request exceeds the available context size", "set model.remote.context"),
        (400, "bad temperature", "check the settings under [model.remote]"),
    ],
)
def test_what_repeating_cannot_mend_is_not_repeated(code: int, message: str, said: str) -> None:
    fault = EXPLAINER.explain(status(code, message))
    assert fault.pause is None and said in str(fault.error)
    assert isinstance(fault.error, ModelUnavailable) == (code != 400), "a bad request is no fault of the server"


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 502, 503, 529])
def test_what_may_pass_is_repeated(code: int) -> None:
    fault = EXPLAINER.explain(status(code))
    assert fault.pause == 0 and isinstance(fault.error, ModelUnavailable)


@pytest.mark.parametrize(
    ("code", "body", "context"),
    [
        (400, {"message": "the request exceeds the available context size.", "n_ctx": 4096}, 4096),
        (500, {"message": "the request exceeds the available context size.", "n_ctx": 256}, 256),
        (400, {"message": "This model's maximum context length is 8192 tokens. However, you requested 9000."}, 8192),
        (413, {"message": "no"}, None),
        (400, {"message": "beyond the context window", "n_ctx": "many"}, None),
    ],
)
def test_a_prompt_that_is_too_long_is_no_fault_of_the_server(code: int, body: object, context: int | None) -> None:
    response = httpx2.Response(code, request=ASKED)
    fault = EXPLAINER.explain(APIStatusError("no", response=response, body=body))
    assert fault.pause is None and isinstance(fault.error, PromptTooLong) and fault.error.context == context


def test_a_server_says_when_to_come_back() -> None:
    assert EXPLAINER.explain(status(429, retry_after="2.5")).pause == 2.5
    assert EXPLAINER.explain(status(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")).pause == 0


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    for error in (APIConnectionError(request=ASKED), APITimeoutError(request=ASKED)):
        fault = EXPLAINER.explain(error)
        assert fault.pause == 0 and "The model server at http://host/v1 cannot be reached" in str(fault.error)


def test_a_servers_words_are_on_one_line_short_and_without_the_key() -> None:
    said = "bad\n\x1b[2J key sk-secret " + "x" * 1000
    text = str(EXPLAINER.explain(APIError(said, ASKED, body=None)).error)
    assert "sk-secret" not in text and "\n" not in text and "********" in text
    assert len(text) < LONGEST_QUOTE + 100


def test_other_faults_say_what_to_do() -> None:
    assert "look at its log" in str(EXPLAINER.cut_off().error)
    assert "model.remote.base_url" in str(EXPLAINER.no_chunk("x").error)
    assert "in other words" in str(EXPLAINER.withheld().error)
    assert "model.remote.name" in str(EXPLAINER.no_model().error)
