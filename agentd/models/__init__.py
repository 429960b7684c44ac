"""What answers: implementations of `ports.ChatModel`.

extractive  no weights: the sentences of the documents that answer best
llama       language models in GGUF files, run by llama.cpp
"""
