"""OpenAI's API on agentd: chat completions, responses and models, for programs and front ends that speak it.

What is asked:
asked            what both kinds of requests come to: a question, and what its caller brings along
chat             the request for a chat completion
respond          the request for a response
side             recognises the requests that a front end makes by itself, for titles and the like
models           which models there are, and which one is meant
embeddings       vectors of texts, which nothing here makes yet

How it is asked and answered:
routes           the routes, and their errors
posting          the question becomes a turn, in its session
exchange         one request and its reply, as long as somebody is there to get it
speech           what the turn says, as pieces that can be sent on
line             the connection on which the reply goes out

What is told:
turned           what every reply says of its turn
sources          the list of sources at the end of a text, and where in it they are cited
events           server-sent events
completion       a chat completion, whole and in chunks
response         a response as an object
response_stream  a response as a stream of events
"""
