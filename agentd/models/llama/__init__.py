"""A local language model through llama.cpp, in a child process whose crash costs a retry and never the daemon.

In the daemon's process (llama.cpp is never imported here):

model        `LlamaModel`, the `ChatModel`: limits, replay and restart of requests
probe        a short trial of what a model does with tools and passages, kept for its file
embedder     `LlamaEmbedder`, the `Embedder`: in the child of a chat model or in one of its own
request      a `ModelRequest` checked and turned into a message for the child
schema       whether a grammar can promise what a JSON schema asks
supervisor   keeps one child with the model loaded: restart, back-off, crash loop
process      one child process: spawn, heartbeat, its words to the log, its end
advice       how a model's makers advise to sample from it
answer       what the child has told one request and its reader has not taken yet

Between the two, over a socketpair:

wire         every message, one union for each direction, and their framing
settings     which file is loaded, and how llama.cpp runs it

In the child, from the outside inwards:

child        the entry point and its loop
engine       requests in, events out: joins what is below
embeddings   texts in, vectors out, one batch between two steps of the engine
waiting      what the requests that wait are told
generating   the requests that are being answered: their next tokens, what these say, their end
speech       what a request says: answer, reasoning, calls, and the messages about them
warmth       what every prompt begins with, read while there is nothing else to do
kept         what a model keeps on disk for its later starts
pace         how fast the model is here: measured, learned, kept

    the prompt:
prompts      conversations to prompts that fit
template     messages to tokens, by trust
rendering    the template itself, which is a stranger's: in a copy of the process, with limits
placeholders untrusted text, out of the template's reach
forms        a conversation for templates that know less than ours
jinja        the sandbox of the templates
vocabulary   text to llama.cpp's tokens and back

    the answer:
text         tokens' bytes to answer and reasoning
family       how families of models write calls and reasoning: one table
calls        finds calls in an answer while it streams, also in the forms of agentd.evidence.call_openings
grammar      a JSON schema as a grammar, tried where a crash costs nothing
sampler      how a request chooses its tokens, within its grammar

    the batch and the cache:
decoder      a loaded model with its scheduler and its cache
scheduler    pure: which sequence gets which tokens of the next batch
steps        pure: how many tokens a step may have on this machine
job, pool    pure: its records, and what each sequence of the cache holds
draft        pure: what an answer says next, guessed from what was said before
spill        sessions that had to leave the cache, in a bounded memory
snapshots    states of the cache on disk, for later starts
cache        carries out what the scheduler decides

    llama.cpp:
driver       a loaded model: decode, sample, and the sequences of the cache
embedding    a loaded embedding model
batch        a batch over arrays of our own
native       the binding itself, and why a call failed

    and around it:
verdict      in which way llama.cpp computes with a file's weights here, tried once and kept
ways         pure: the ways that there are, from the fastest to the plainest
selftest     whether llama.cpp, in one of them, does what all this takes for granted
specimen     the small models that it is tried on, and what must come out of them
blocks       pure: the forms that weights have in files
isolate      work that may crash, in a copy of the process
checks       what was found out on this machine, on disk
standing     what a file has shown here: it answers, needs the plainest way, or is set aside
files        what is wrong with a model, before native code sees it, and what it takes
header       what the header of one file says, read so that one that lies costs nothing
parts        models in several files
memory       how much of it the process may take
machine      free cores and memory
"""
