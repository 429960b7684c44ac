"""Language models behind an HTTP endpoint that speaks OpenAI's chat completions: llama-server, vLLM, Ollama, others.

model     `OpenAIModel`, the `ChatModel`: places, limits, retries before the first delta, cancel by closing
server    the endpoint and its calls, over `agentd.host.http`
request   pure: a `ModelRequest` as the body of a request, in the endpoint's dialect
habits    pure: what a server refuses, and which of its models to ask; the body without it
stream    pure: the lines of a reply as JSON values
answer    pure: these values as deltas; `lenient` reads them, `thinking` takes reasoning out of a text
patience  the limit that runs while an answer comes
errors    what went wrong, in words that say what to do
"""
