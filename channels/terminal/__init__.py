"""The unix socket: the REPL, `agentd ask` and programs on this machine speak `agentd.serving.protocol` over it.

socket       listening on it (also under a long path), where nobody else does
connection   one client: its requests, its live events, its answers
channel      `TerminalChannel`, which delivers an answer to the clients that follow the session
"""
