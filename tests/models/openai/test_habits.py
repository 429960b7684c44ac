"""What a server refuses is left out from then on; if a model is gone, another one is chosen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentd.models.openai.errors import LEAST_CONTEXT, Refusal
from agentd.models.openai.habits import ALTERNATION, SYSTEM, Habits, adapted


def message(role: str, content: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


BODY: dict[str, Any] = {
    "model": "m",
    "messages": [message("system", "rules"), message("user", "question")],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 100,
    "temperature": 0.0,
    "top_p": 0.9,
    "seed": 7,
    "stop": ["END"],
    "tools": [{"type": "function"}],
    "response_format": {"type": "json_schema"},
}


def refusal(status: int, said: str, **fields: object) -> Refusal:
    return Refusal(status=status, text=json.dumps({"error": {"message": said, **fields}}))


@pytest.mark.parametrize(
    ("status", "said", "found"),
    [
        (400, "registry.ollama.ai/library/x does not support tools", "tools"),
        (404, "No endpoints found that support tool use", "tools"),
        (500, "tools param requires --jinja flag", "tools"),
        (400, "Unrecognized request argument supplied: stream_options", "stream_options"),
        (400, "Unsupported value: 'temperature' does not support 0.7 with this model.", "temperature"),
        (422, "Extra inputs are not permitted: top_p", "top_p"),
        (400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens'.", "max_tokens"),
        (400, "'stop' is not supported with this model", "stop"),
        (400, "json_schema response format is not supported", "response_format"),
        (400, "System role not supported", SYSTEM),
        (400, "'messages[0].role' does not support 'system' with this model.", SYSTEM),
        (500, "Conversation roles must alternate user/assistant/user/assistant/...", ALTERNATION),
    ],
)
def test_what_a_refusal_names_is_left_out(status: int, said: str, found: str) -> None:
    habits = Habits(fixed="m", context=None)
    assert habits.learn(refusal(status, said), BODY) and habits.refused == {found}
    assert not habits.learn(refusal(status, said), BODY), "asking once more in the same way is no use"


def test_the_field_of_an_error_counts_more_than_its_words() -> None:
    habits = Habits(fixed="m", context=None)
    assert habits.learn(refusal(400, "tools and top_p: no", param="top_p"), BODY) and habits.refused == {"top_p"}
    body = {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
    assert habits.learn(Refusal(status=422, text=json.dumps(body)), BODY) and "seed" in habits.refused


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "please stop sending so much"),
        (400, "invalid model"),
        (400, "the messages are wrong"),
        (401, "does not support tools"),
        (429, "too many tools"),
        (500, "the tool server crashed"),
        (503, "tools are not supported"),
    ],
)
def test_other_refusals_teach_nothing(status: int, said: str) -> None:
    habits = Habits(fixed="m", context=None)
    assert not habits.learn(refusal(status, said), BODY) and not habits.refused


def test_what_is_refused_is_not_sent() -> None:
    assert adapted(BODY, frozenset()) == BODY
    fitting = adapted(BODY, frozenset({"tools", "temperature", "stream_options"}))
    assert fitting.keys() == BODY.keys() - {"tools", "temperature", "stream_options"}


def test_the_longest_answer_is_told_by_its_other_name_and_by_none_if_both_are_refused() -> None:
    fitting = adapted(BODY, frozenset({"max_tokens"}))
    assert fitting["max_completion_tokens"] == 100 and "max_tokens" not in fitting
    assert adapted({"max_completion_tokens": 5}, frozenset({"max_completion_tokens"})) == {"max_tokens": 5}
    neither = adapted(BODY, frozenset({"max_tokens", "max_completion_tokens"}))
    assert "max_tokens" not in neither and "max_completion_tokens" not in neither


def test_without_a_system_its_rules_begin_the_question() -> None:
    assert adapted(BODY, frozenset({SYSTEM}))["messages"] == [message("user", "rules\n\nquestion")]
    alone = {"messages": [message("system", "rules")]}
    assert adapted(alone, frozenset({SYSTEM}))["messages"] == [message("user", "rules\n\n")]


def test_neighbours_of_one_side_become_one_message() -> None:
    call = message("assistant", "", tool_calls=[{"id": "x"}])
    messages = [
        message("system", "rules"),
        message("assistant", "hello"),
        message("user", "a"),
        message("user", "b"),
        call,
        message("tool", "1"),
        message("tool", "2"),
        message("assistant", "c"),
        message("assistant", "d"),
    ]
    assert adapted({"messages": messages}, frozenset({ALTERNATION}))["messages"] == [
        message("system", "rules"),
        message("user", "a\n\nb"),
        call,
        message("tool", "1"),
        message("tool", "2"),
        message("assistant", "c\n\nd"),
    ]


# --- which model ---


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["big", "small"], "big"),
        (["nomic-embed-text:latest", "llama3:8b"], "llama3:8b"),
        (["BAAI/bge-m3", "text-embedding-3", "whisper-1", "jina-reranker", "tts-1", "qwen3"], "qwen3"),
        (["nomic-embed-text"], "nomic-embed-text"),
        ([], None),
    ],
)
def test_the_first_model_that_may_be_one_to_talk_to_is_chosen(offered: list[str], chosen: str | None) -> None:
    assert Habits(fixed=None, context=None).choose(offered) == chosen


@pytest.mark.parametrize(
    ("status", "said", "again"),
    [
        (404, "model 'm' not found, try pulling it first", True),
        (404, "", True),
        (400, "The model `m` does not exist", True),
        (400, "bad request", False),
        (503, "model m is not loaded", False),
    ],
)
def test_a_model_that_is_gone_is_looked_up_again_unless_it_is_set(status: int, said: str, again: bool) -> None:
    habits = Habits(fixed=None, context=None)
    habits.choose(["m"])
    assert habits.learn(refusal(status, said), {"model": "m"}) == again and (habits.name is None) == again
    assert habits.choose(["m2", "m"]) == "m2"
    fixed = Habits(fixed="m", context=None)
    assert not fixed.learn(refusal(status, said), {"model": "m"}) and fixed.name == "m"


def test_a_model_that_cannot_chat_is_passed_over_from_then_on() -> None:
    habits = Habits(fixed=None, context=None)
    assert habits.choose(["vectors", "words"]) == "vectors"
    assert habits.learn(refusal(400, '"vectors" does not support chat'), {"model": "vectors"})
    assert habits.choose(["vectors", "words"]) == "words"


# --- the context ---


def test_the_context_that_a_server_claims_is_remembered_unless_it_is_absurd() -> None:
    habits = Habits(fixed=None, context=None)
    habits.learn_context(LEAST_CONTEXT)
    assert habits.context is None
    habits.learn_context(4096)
    habits.learn_context(8192)
    assert habits.context == 4096
