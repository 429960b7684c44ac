"""What answers: implementations of `ports.ChatModel`, and where their files come from.

extractive  no weights: the sentences of the documents that answer best
llama       language models in GGUF files, run by llama.cpp
openai      language models behind an endpoint that speaks OpenAI's chat completions
choice      the local model of the moment, which can be changed while the daemon runs
failover    several models in an order: where one cannot answer the next one does
assembly    puts them together as the settings say
library     models as files: the catalogue, the hub, downloads, and the shelf with the one that is chosen
places      how many requests an endpoint takes at once, and who waits
speed       how fast a model reads and writes here
expected    how fast a model would be here
gpu         whether there is one for llama.cpp
"""
