"""The endpoint of the tests answers as an OpenAI-compatible server does, or as it is told."""

from __future__ import annotations

import httpx2

from agentd.testing.openai_server import OpenAIServer, Refusal, Stream, end, text, usage

ASKED = {"model": "served", "stream": True, "messages": [{"role": "user", "content": "one two"}]}


async def test_without_a_script_it_repeats_the_question_as_a_stream() -> None:
    async with OpenAIServer() as server, httpx2.AsyncClient(base_url=server.base_url) as client:
        reply = await client.post("/chat/completions", json=ASKED)
        lines = reply.text.split("\n\n")
        assert reply.headers["content-type"] == "text/event-stream"
        assert lines[0].startswith("data: {") and '"one "' in lines[0] and lines[-2] == "data: [DONE]"
        assert server.completions == [ASKED] and server.running == 0 and server.most_running == 1


async def test_a_script_is_followed_in_order() -> None:
    async with OpenAIServer() as server, httpx2.AsyncClient(base_url=server.base_url) as client:
        server.replies += [
            Refusal(status=429, message="slow down", headers={"retry-after": "1"}),
            Stream(steps=[text("a"), b": ping\n\n", end(), usage(1, 2)]),
        ]
        refused = await client.post("/chat/completions", json=ASKED)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json() == {"error": {"message": "slow down"}}
        assert ": ping" in (await client.post("/chat/completions", json=ASKED)).text


async def test_it_lists_models_and_counts_words_as_tokens() -> None:
    async with OpenAIServer(models=["a"]) as server, httpx2.AsyncClient(base_url=server.base_url) as client:
        assert (await client.get("/models")).json()["data"] == [{"id": "a"}]
        root = server.base_url.removesuffix("/v1")
        assert (await client.post(f"{root}/apply-template", json=ASKED)).json() == {"prompt": "one two"}
        assert (await client.post(f"{root}/tokenize", json={"content": "a b c"})).json()["count"] == 3
        assert (await client.post(f"{root}/tokenize", json=ASKED)).json()["count"] == 2
        assert (await client.get("/else")).status_code == 404
