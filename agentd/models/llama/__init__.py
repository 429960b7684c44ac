"""A local language model through llama.cpp, in a child process, so that a crash costs a retry and not the daemon.

In the daemon's process (llama.cpp is never imported here):

model        `LlamaModel`, the `ChatModel`: limits of requests, and their repetition after a crash
probe        a short trial of what a model does with tools and passages; the result is kept
embedder     `LlamaEmbedder`, the `Embedder`: in the child of a chat model or in one of its own
request      checks a `ModelRequest` and turns it into a message for the child
schema       whether a grammar can enforce a JSON schema
supervisor   keeps one child with the model loaded: restarts, back-off, crash loops
process      one child process: its start, heartbeat, log and end
advice       how the makers of a model advise to sample from it
answer       what the child has sent for one request and nobody has read yet

Between the two processes:

wire         all messages, one union for each direction, and their framing
settings     which file is loaded, and how llama.cpp runs it

In the child, from the outside inwards:

child        the entry point and its loop
engine       requests in, events out: joins what is below
embeddings   texts in, vectors out, a batch at a time between the steps of the engine
waiting      what the requests that wait are told
generating   the requests that are being answered: their next tokens, what these say, their end
speech       what a request says: answer, reasoning, calls, and the messages about them
warmth       what every prompt begins with, read while there is nothing else to do
kept         what a model keeps on disk for its later starts
pace         how fast the model is here: measured, learned, kept

    the prompt:
prompts      conversations to prompts that fit into the context
template     messages to tokens, by trust
rendering    runs the template, which is untrusted, in a copy of the process with limits
placeholders keep untrusted text out of the template
forms        a conversation for templates that know no calls or no system message
jinja        the sandbox of the templates
vocabulary   text to llama.cpp's tokens and back

    the answer:
text         tokens' bytes to answer and reasoning
family       how families of models write calls and reasoning: a table
calls        finds calls in an answer while it streams, also in the forms of agentd.evidence.call_openings
grammar      a JSON schema as a grammar, tried first in a copy of the process
sampler      chooses the tokens of a request, within its grammar

    the batch and the cache:
decoder      a loaded model with its scheduler and its cache
scheduler    pure: which sequence gets which tokens of the next batch
steps        pure: how many tokens a step may have on this machine
job, pool    pure: its records, and what each sequence of the cache holds
draft        pure: guesses how an answer goes on from what was said before
spill        sessions that had to leave the cache, in memory with a limit
snapshots    states of the cache on disk, for later starts
cache        carries out what the scheduler decides

    llama.cpp:
driver       a loaded model: decode, sample, and the sequences of the cache
embedding    a loaded embedding model
batch        a batch over our own arrays
native       the binding itself, and why a call failed

    and around it:
verdict      in which way llama.cpp can compute with the weights of a file; tried once and kept
ways         pure: all ways, from the fastest to the plainest
selftest     whether llama.cpp, in one of these ways, does what this package relies on
specimen     the small models for this test, and what they must compute
blocks       pure: the quantized formats of weights
isolate      work that may crash, in a copy of the process
checks       findings about models on this machine, on disk
standing     how a file behaved here: it answers, needs the plainest way, or is set aside
files        what is wrong with a model, before native code reads it, and how much memory it takes
header       reads the header of one file; a false one costs neither time nor memory
parts        models in several files
memory       how much memory the process may take
machine      free cores and memory
"""
