"""Each error says what happened and what to do, and never contains the key."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from agentd.errors import ModelUnavailable, PromptTooLong
from agentd.host.http import CutOff, Forbidden, OutboundError, TooLarge, Unreached
from agentd.models.openai.errors import LEAST_CONTEXT, LONGEST_QUOTE, Explainer, Refusal

KEY = "sk-secret-0123456789"
EXPLAINER = Explainer(address="http://me:pw@host/v1", secrets=[KEY, "pw", ""])


def status(code: int, body: object = "no", headers: Mapping[str, str] | None = None) -> Refusal:
    return Refusal(status=code, headers=headers or {}, text=body if isinstance(body, str) else json.dumps(body))


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (401, "no", "refused the key (401): no; set model.remote.api_key."),
        (403, "no", "set model.remote.api_key"),
        (404, "no", "the model 'small' (404)"),
        (402, "insufficient balance", "account's quota"),
        (429, "You exceeded your current quota", "account's quota"),
        (400, "request exceeds the available context size", "set model.remote.context"),
        (400, "bad temperature", "[model.remote]"),
        (400, "", '{"message": ""}'),
    ],
)
def test_what_repeating_cannot_mend_is_not_repeated(code: int, message: str, said: str) -> None:
    fault = EXPLAINER.refused(status(code, {"message": message}), model="small")
    assert fault.pause is None and said in str(fault.error)
    assert isinstance(fault.error, ModelUnavailable) == (code != 400), "a bad request is no fault of the server"


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 502, 503, 529])
def test_what_may_pass_is_repeated(code: int) -> None:
    fault = EXPLAINER.refused(status(code))
    assert fault.pause == 0 and isinstance(fault.error, ModelUnavailable)


@pytest.mark.parametrize(
    ("code", "body", "context"),
    [
        (400, {"message": "the request exceeds the available context size.", "n_ctx": 4096}, 4096),
        (400, {"error": {"message": "exceeds the available context size.", "n_ctx": 4096}}, 4096),
        (500, {"message": "the request exceeds the available context size.", "n_ctx": 1}, LEAST_CONTEXT),
        (500, {"message": "the request exceeds the available context size.", "n_ctx": -7}, LEAST_CONTEXT),
        (400, {"message": "This model's maximum context length is 8192 tokens. However, you requested 9000."}, 8192),
        (400, {"message": "This model's maximum context length is 3 tokens."}, LEAST_CONTEXT),
        (413, {"message": "no"}, None),
        (400, {"message": "beyond the context window", "n_ctx": "many"}, None),
        (400, {"message": "beyond the context window", "n_ctx": True}, None),
    ],
)
def test_a_prompt_that_is_too_long_is_no_fault_of_the_server(code: int, body: object, context: int | None) -> None:
    fault = EXPLAINER.refused(status(code, body))
    assert fault.pause is None and isinstance(fault.error, PromptTooLong) and fault.error.context == context


def test_an_error_with_the_status_of_success_counts_as_the_one_that_the_server_means() -> None:
    fault = EXPLAINER.failed({"error": {"message": "insufficient balance", "code": 402}})
    assert "(402): insufficient balance; " in str(fault.error) and fault.pause is None
    assert "failed: slot was evicted" in str(EXPLAINER.failed({"error": {"message": "slot was evicted"}}).error)
    assert "failed: it does not" in str(EXPLAINER.failed({"error": {"code": "x"}}).error)


@pytest.mark.parametrize(
    ("after", "pause"),
    [("2.5", 2.5), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("-5", 0), ("nan", 0), ("inf", float("inf"))],
)
def test_a_server_says_when_to_come_back(after: str, pause: float) -> None:
    assert EXPLAINER.refused(status(429, headers={"retry-after": after})).pause == pause


@pytest.mark.parametrize(
    ("error", "said", "pause"),
    [
        (Unreached("cannot be reached (refused)"), "reached (refused); check that", 0),
        (CutOff("broke off"), "(broke off); look at", 0),
        (Forbidden("redirects (307) to http://b/, another server"), "check model.remote.base_url", None),
        (TooLarge("sends 9 bytes"), "sends 9 bytes, which", None),
    ],
)
def test_faults_of_the_exchange_name_the_server_without_its_password(
    error: OutboundError, said: str, pause: float | None
) -> None:
    fault = EXPLAINER.outbound(error)
    assert fault.pause == pause and " http://host/v1 " in str(fault.error)
    assert said in str(fault.error) and "pw" not in str(fault.error)


@pytest.mark.parametrize(
    "quoted", [KEY, f"Bearer {KEY}", KEY[:-1], KEY[1:], KEY[4:14], f"x{KEY}{KEY}x", f"http://a:b@c/{KEY}"]
)
def test_neither_the_key_nor_a_part_of_it_is_quoted(quoted: str) -> None:
    text = str(EXPLAINER.failed({"error": f"wrong key {quoted} given"}).error)
    assert not any(KEY[n : n + 8] in text for n in range(len(KEY) - 7)) and "********" in text
    assert "wrong key" in text and "given" in text


def test_a_servers_words_are_whole_on_one_line_and_short() -> None:
    said = "bad\n\x1b]0;PWNED\x07\x1b[2J half \ud83d " + "x" * 1000
    text = str(EXPLAINER.failed({"error": {"message": said}}).error)
    assert "\n" not in text and "\x1b" not in text and "PWNED" not in text and "bad half \ufffd x" in text
    assert text.encode() and len(text) < LONGEST_QUOTE + 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html><head><title>502 Bad Gateway</title></head>", "502 Bad Gateway"),
        ("<html>" + "<" * 100_000, "a web page"),
        ("plain words", "plain words"),
        ("{broken", "{broken"),
        ('{"detail": [{"loc": ["body", "top_p"], "msg": "not allowed"}]}', "not allowed"),
        ("", ""),
    ],
)
def test_a_servers_words_are_found_in_every_kind_of_body(text: str, said: str) -> None:
    assert Refusal(status=500, text=text).said == said


def test_other_faults_say_what_to_do() -> None:
    assert "its log" in str(EXPLAINER.cut_off().error)
    assert "model.remote.base_url" in str(EXPLAINER.no_chunk("x").error)
    assert "in other words" in str(EXPLAINER.withheld().error)
    assert "model.remote.name" in str(EXPLAINER.no_model().error)
