"""Fakes for tests of agentd and of what is built on it: each behaves as its port says, and can be told to fail.

clock     a clock that is advanced by hand
model     a model that emits exactly what a script says
tools     a tool that changes something, and may wait before it does
channel   a channel with scripted outcomes
clients   clients without any socket, and the channel that has them
pending   the pending directory in memory
files     a file system in memory that can crash at every operation
server    a daemon that answers clients exactly what a script says
http      an HTTP server whose handler decides every byte
openai_server  an OpenAI-compatible endpoint that answers well or badly
hub       a hub of models that can break every promise it makes
gguf      tiny real models whose next token is known by construction
real_models  real language models, put together from Python packages
"""
