"""Language models behind an HTTP endpoint that speaks OpenAI's chat completions: llama-server, vLLM, Ollama, others.

model    `OpenAIModel`, the `ChatModel`: places, limits, retries before the first delta, cancel by closing
request  pure: a `ModelRequest` as the body of a request, in the endpoint's dialect
answer   pure: the chunks of a streamed answer as deltas
errors   what went wrong, in words that say what to do
"""
