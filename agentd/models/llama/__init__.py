"""A local language model through llama.cpp, in a child process whose crash costs a retry and never the daemon.

In the daemon's process (llama.cpp is never imported here):

model        `LlamaModel`, the `ChatModel`: limits, replay and restart of requests
request      a `ModelRequest` checked and turned into a message for the child
supervisor   keeps one child with the model loaded: restart, back-off, crash loop
process      one child process: spawn, heartbeat, its words to the log, its end
answer       what the child has told one request and its reader has not taken yet

Between the two, over a socketpair:

wire         every message, one union for each direction, and their framing

In the child:

child        the entry point and its loop
engine       requests in, events out: joins the rooms below
scheduler    pure: which sequence gets which tokens of the next batch
driver       thin: llama.cpp's calls to load, decode and sample; nothing but it and `vocabulary` knows llama.cpp
vocabulary   thin: text to llama.cpp's tokens and back
template     messages to tokens, by trust
text         tokens' bytes to answer and reasoning
files        what is wrong with a model file, before native code sees it
machine      free cores and memory
"""
