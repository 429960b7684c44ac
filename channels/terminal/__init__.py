"""The unix socket: the REPL, `agentd ask` and programs on this machine speak `agentd.serving.protocol` over it.

socket      listening on it (also under a long path), where nobody else does
lines       what a client sends, as it arrives
transport   what carries one client; `agentd.serving` does the rest
channel     `TerminalChannel`, which puts them together
"""
