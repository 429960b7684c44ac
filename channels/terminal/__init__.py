"""The unix socket: the REPL, `agentd ask` and programs on this machine speak `agentd.protocol` over it.

socket       binding it (also under a long path) and asking the kernel who connects
connection   one client: its requests, its live events, its answers
channel      `TerminalChannel`, which delivers an answer to the clients that follow the session
"""
