"""Language models: the implementations of `ports.ChatModel`, and where their files come from.

extractive  has no weights: answers with the best sentences of the documents
llama       models in GGUF files, run by llama.cpp
openai      models behind an endpoint that speaks OpenAI's chat completions
choice      the current local model, which can be changed while the daemon runs
failover    several models in an order: if one cannot answer, the next one does
assembly    builds the models that the settings name
library     model files: the catalogue, the hub, downloads, and the shelf with the chosen one
slots       how many requests an endpoint takes at once, and which ones wait
speed       how fast a model reads and writes here
expected    how fast a model would probably be here
gpu         whether llama.cpp finds one
"""
