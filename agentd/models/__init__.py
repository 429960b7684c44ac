"""What answers: implementations of `ports.ChatModel`, and where their files come from.

extractive  no weights: the sentences of the documents that answer best
llama       language models in GGUF files, run by llama.cpp
openai      language models behind an endpoint that speaks OpenAI's chat completions
choice      the local model of the moment, which can be changed while the daemon runs
failover    several models in an order: where one cannot answer the next one does
assembly    puts them together as the settings say
catalogue   models that are known to run well, and which one fits this machine
sources     what a person types for a model
shelf       the models on this machine, and the one that is chosen
pull        brings a model onto the shelf, with `hub` (what is offered) and `download` (its bytes)
speed       how fast a model reads and writes here
gpu         whether there is one for llama.cpp
"""
