"""Language models behind an HTTP endpoint that speaks OpenAI's chat completions: llama-server, vLLM, Ollama, others.

model     `OpenAIModel`, the `ChatModel`: slots, limits, retries before the first delta, cancel by closing
server    the endpoint and its calls, over `agentd.host.http`
request   pure: a `ModelRequest` as the body of a request, in the endpoint's dialect
habits    pure: what a server refuses, and which of its models to ask; a request without what it refuses
stream    pure: the lines of a reply as JSON values
answer    pure: these values as deltas; `lenient` reads them, `thinking` separates reasoning from text
patience  the time limits of an answer
errors    what went wrong, and what to do
"""
